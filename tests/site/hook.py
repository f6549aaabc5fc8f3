"""What MkDocs calls: adds the generated pages, and what else of the repository the pages link to."""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tests.site import settings, wire

log = logging.getLogger("mkdocs.hooks.links")
"""Below the name whose warnings end a strict build."""
_PUBLISHED = ("xsd", "config")
"""Folders of the repository that the site holds too, below `files`."""
_PAGES = {"README.md": "readme.md", "CHANGELOG.md": "changelog.md"}
"""Pages that stand at the top of the repository."""
_LINK = re.compile(r"\[([^\[\]]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are written from schemas and configuration, and these themselves."""
    for name, text in wire.pages().items():
        files.append(File.generated(config, f"wire/{name}", content=text))
    files.append(File.generated(config, "configuration.md", content=settings.page()))
    root = Path(config.config_file_path).parent
    for name, uri in _PAGES.items():
        files.append(File.generated(config, uri, content=(root / name).read_text(encoding="utf-8")))
    for folder in _PUBLISHED:
        for path in sorted((root / folder).iterdir()):
            files.append(File.generated(config, f"files/{folder}/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links out of `docs` lead to the copy in the site, or are words: a site has no repository beside it."""
    here = posixpath.dirname(page.file.src_uri)
    top = page.file.src_uri in _PAGES.values()
    root = Path(config.config_file_path).parent

    def led(link: re.Match[str]) -> str:
        words, target, anchor = link[1], link[2], link[3] or ""
        target = posixpath.normpath(target if top else posixpath.join("docs", here, target))
        if not target.startswith("docs/"):
            if not (root / target).exists():
                log.warning("%s links to %s, which there is not", page.file.src_uri, target)
            target = f"docs/{_PAGES.get(target, f'files/{target}')}"
        uri = target.removeprefix("docs/")
        if files.get_file_from_path(uri) is None:
            # MkDocs names what is missing in `docs`; what is elsewhere in the repository is not part of the site.
            return words if uri.startswith("files/") else link[0]
        return f"[{words}]({posixpath.relpath(uri, here or '.')}{anchor})"

    return _LINK.sub(led, markdown)
