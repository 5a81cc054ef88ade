"""The rule files that every release has: the administration of the service and its reviews.

Guarantees: administrators and supervisors exist in every release, and a change to directory, keys or
releases always takes two different administrators, because the built-in whole chain holds here as well.
"""

from __future__ import annotations

from typing import Final

SYSTEM_PREFIX: Final = "system/"

ADMINISTRATION_RESOURCE: Final = "change"
REVIEW_RESOURCE: Final = "review"
ANYONE: Final = "anyone"  # the role that every known person has, without any assignment

SYSTEM_FILES: Final = {
    "system/chains/administration.yaml": """\
chain: administration
title: {en: Administration, es: Administración}
resource: change
progress: claimed
steps:
  - {id: propose, title: {en: Propose, es: Proponer}}
  - {id: confirm, after: [propose], title: {en: Confirm, es: Confirmar}}
""",
    "system/roles.yaml": """\
roles:
  administrator: {title: {en: Administrator, es: Administrador}}
  supervisor: {title: {en: Supervisor, es: Supervisor}}
grants:
  - {role: administrator, actions: [propose, confirm], resource: change}
  - {role: supervisor, actions: [resolve], resource: review}
""",
}
