"""Writes docs/openapi.json anew, from what the interface says of itself."""

from __future__ import annotations

import json

from sr_engine.api.app import application
from tests.api.test_openapi import DOCUMENT

if __name__ == "__main__":
    DOCUMENT.write_text(json.dumps(application().openapi(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
