// Runs DUIS software that others have published: one JSON object in, one out.
//   node foreign.mjs FOLDER   where FOLDER holds node_modules
import { createRequire } from 'node:module'
import { join, resolve, delimiter } from 'node:path'
import { readFileSync } from 'node:fs'

const require = createRequire(join(resolve(process.argv[2]), 'package.json'))
const parser = require('@smartdcc/duis-parser')
const templates = require('@smartdcc/duis-templates')
const wrap = require('@smartdcc/duis-sign-wrap')

const input = JSON.parse(readFileSync(0, 'utf-8'))
const jar = require.resolve('@smartdcc/duis-sign-wrap').replace('index.js', 'tool.jar')

// What lies in `before` is found before what the tool brings with it: certificates of a test.
const jarFile = input.before ? input.before + delimiter + jar : jar

const tasks = {
  construct: ({ mode, duis }) => parser.constructDuis(mode, duis),
  parse: ({ messages }) => messages.map((xml) => {
    const duis = parser.parseDuis('simplified', xml)
    return {
      duis,
      response: parser.isSimplifiedDuisOutputResponse(duis),
      responseMessage: parser.isSimplifiedDuisResponseBody_ResponseMessage(duis.body),
      alert: parser.isSimplifiedDuisResponseBody_DCCAlertMessage(duis.body)
    }
  }),
  templates: async ({ originator }) => {
    const found = await templates.loadTemplates({})
    let counter = 0
    return Object.fromEntries(Object.entries(found).map(([tag, { simplified }]) => {
      simplified.header.requestId.originatorId = originator
      simplified.header.requestId.counter = ++counter
      return [tag, parser.constructDuis('simplified', simplified)]
    }))
  },
  sign: ({ xml }) => wrap.signDuis({ xml, jarFile }),
  validate: ({ xml }) => wrap.validateDuis({ xml, jarFile }).then((text) => ({ text }), (error) => ({ error: String(error) }))
}

const output = await tasks[input.task](input)
console.log(JSON.stringify(output, (_, value) => typeof value === 'bigint' ? value.toString() : value))
