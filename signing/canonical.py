"""The two canonical forms of the profile: inclusive C14N 1.0 for the document, exclusive C14N for SignedInfo.

Taking one for the other rejects every genuine message (FACTS SG2, Trap 1).
"""

from __future__ import annotations

from lxml import etree

from .errors import DocumentRefused


def inclusive(element: etree._Element) -> bytes:
    """Return inclusive Canonical XML 1.0; raises DocumentRefused if the tree has none (a relative namespace URI)."""
    return _canonical(element, exclusive=False)


def exclusive(element: etree._Element) -> bytes:
    """Return Exclusive Canonical XML 1.0 of the element where it stands; raises DocumentRefused as above."""
    return _canonical(element, exclusive=True)


def _canonical(element: etree._Element, *, exclusive: bool) -> bytes:
    # Comments are kept so that one never goes unsigned: documents hold none, and a tree that does must show it.
    try:
        return etree.tostring(element, method="c14n", exclusive=exclusive, with_comments=True)
    except etree.C14NError as error:
        raise DocumentRefused(f"the document has no canonical form: {error}; are all namespaces absolute?") from None
