// A client of the sign/verify service: signs a message, verifies what comes back, and tries what is refused.
import { readFileSync } from 'node:fs'

const [base, file] = process.argv.slice(2)

async function post(path, message) {
  const response = await fetch(base + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ message })
  })
  return { status: response.status, content: await response.json() }
}

const text = (base64) => Buffer.from(base64, 'base64').toString('utf-8')
const message = readFileSync(file).toString('base64')
const signed = await post('/sign', message)
const verified = await post('/verify', signed.content.message)
const unsigned = await post('/verify', message)
const get = await fetch(base + '/sign')
console.log(JSON.stringify({
  statuses: { sign: signed.status, verify: verified.status, unsigned: unsigned.status, get: get.status },
  refusal: unsigned.content,
  signed: text(signed.content.message),
  verified: text(verified.content.message)
}))
