"""The process that tries rule files: reads what is asked on standard input, and answers on standard output.

Guarantees: it ends within the processor time that its argument says, whoever asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from controls.model.errors import ControlsError, RuleFilesInvalid
from controls.services.releases import activatable, activatable_document
from controls.services.trial import ExamplesFailed


def answer(asked: Mapping[str, Any]) -> dict[str, object]:
    """What the process that tries says."""
    try:
        if "files" in asked:
            release = activatable(asked["files"])
        else:
            release = activatable_document(asked["document"].encode())
    except RuleFilesInvalid as invalid:
        return {"diagnostics": [asdict(item) for item in invalid.diagnostics]}
    except ExamplesFailed as failed:
        return {"failures": failed.failures}
    except ControlsError as error:
        return {"error": error.detail}
    return {"digest": release.digest, "document": release.document.decode(), "contents": release.contents}


def main() -> None:
    """Answer what stands on standard input, within so many seconds of processor time."""
    import resource

    seconds = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))  # should whoever asked be gone meanwhile
    json.dump(answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
