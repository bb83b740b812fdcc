"""A recording and all its events as one JSON object, with the sentences in both languages."""

from __future__ import annotations

import json
from typing import Any

from kprobesim.i18n import LANGUAGES
from kprobesim.lab.lab import Lab
from kprobesim.lab.recording import Recording

__all__ = ["as_trace"]


def as_trace(lab: Lab, recording: Recording) -> str:
    """Every event from the start of the experiment on.

    Args:
        lab: the recording, lived again.
        recording: itself; it comes first in the object.
    """
    events: list[dict[str, Any]] = []
    for event in lab.events():
        if event.moment.insn < lab.start:
            continue
        told = {language: dict(lab.narrate(event, language)._asdict()) for language in LANGUAGES}
        events.append({**lab.event_json(event), "narration": told})
    whole = {"format": "kprobesim trace", "version": 1, "recording": recording.as_json(), "events": events}
    return json.dumps(whole, ensure_ascii=True) + "\n"
