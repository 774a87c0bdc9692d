"""Compression that a model carries, as the encodings of its weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from mlpress.converter.capture import Captured
from mlpress.encoding import Encoding
from mlpress.errors import LegalityError
from mlpress.mil import Opset, canonical, why_illegal
from mlpress.nn import metadata

_LOG: Final = logging.getLogger(__name__)


def carried_encodings(captured: Captured, opset: Opset) -> Mapping[str, Encoding]:
    """Returns the encodings of compressed parameters by full name.

    Raises:
        EncodingError: The buffers that describe a parameter contradict each other.
        LegalityError: The opset cannot express an encoding; all such are listed.
    """
    found = metadata.encodings({**captured.buffers, **captured.parameters})
    if not found:
        return {}
    if opset < Opset.CoreML6:
        _LOG.warning("%d compressed weights are stored dense: compression needs iOS 16", len(found))
        return {}
    reasons = {name: why_illegal(canonical(encoding, opset), opset) for name, encoding in found.items()}
    illegal = [f"- {name}: {reason}" for name, reason in reasons.items() if reason is not None]
    if illegal:
        raise LegalityError(
            f"{opset.target} cannot express {len(illegal)} compressed weights of the model:\n"
            + "\n".join(illegal)
        )
    return found
