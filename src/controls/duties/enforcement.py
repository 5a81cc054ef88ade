"""Casbin as the enforcement point: may this person take this step on this chain, now?

Guarantees:
- built whole, never changed afterwards, and used by any number of threads: one small enforcer for each
  action, whose rows are fixed and whose matcher is compiled once; nothing of a request is ever parsed;
- no grant, no permit; one violated `deny` constraint, no permit, whatever is granted;
- an amendment is held against the same constraints as the step that it changes, the first one of the chain;
- all findings at once, also those that come after the first one that denies;
- what Casbin answers depends on what its rows say alone: it is asked once for each combination of that, and
  its answer, once the direct evaluation agreed with it, is what the next ones are held against;
- fail closed: an error inside Casbin denies, and so does any disagreement between Casbin and the direct
  evaluation of the same rules. Both become findings.

Rows are `role, rule, eft`: one allow row for each grant, and one deny row for the `deny` constraints of the
action together, under the role that every person of record holds (a row each costs ten times as much, and
which of them speaks is told by the findings anyway). `g` says whether the person holds the row's role;
`speaks` asks the row's rule, a grant's condition or the constraints over the chain's history. Constraints
that ask for less than a denial do not decide here; they become findings beside the answer.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

import casbin
from casbin.model import Model

from controls.duties.constraints import concerns, with_built_in
from controls.duties.findings import denial
from controls.duties.hearing import (
    ANYONE,
    NO_ROLES,
    ActionRules,
    EnforcementAnswer,
    Hearing,
    Question,
    Said,
    no_grant,
)
from controls.model.chain import AMEND, ChainHistory, ChainKind
from controls.model.condition import Facts
from controls.model.duty import Constraint, Grant
from controls.model.finding import Effect, Finding, Origin, Text

__all__ = ["Enforcement", "EnforcementAnswer", "Question"]

MODEL: Final = """
[request_definition]
r = hearing

[policy_definition]
p = role, rule, eft

[role_definition]
g = _, _

[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))

[matchers]
m = g(r.hearing, p.role) && speaks(r.hearing, p.rule)
"""

_DUTIES: Final = "duties"  # the rule of the row for the constraints
# For how many combinations of an action Casbin's answer is kept; then all are forgotten.
KEPT_ANSWERS: Final = 10_000

Row: TypeAlias = tuple[str, str, str]
Names: TypeAlias = Mapping[str, object]
Key: TypeAlias = tuple[str, str, str]  # resource type, action, chain kind or nothing


_NO_CHAIN: Final = ChainHistory(kind="", chain="")
_NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NOBODY: Final = Question(
    person=None,
    action="nothing",
    resource_type="nothing",
    facts=Facts(values={}, chain=_NO_CHAIN, now=_NO_TIME),
    history=_NO_CHAIN,
    now=_NO_TIME,
)


class _Roles:
    """Casbin's role manager over the role hierarchy: fixed links between known roles, no persons.

    Casbin's own stores a node for every name it is asked about and reads links that a reload clears.
    """

    def __init__(self, closure: Mapping[str, frozenset[str]]) -> None:
        self._closure = closure

    def has_link(self, hearing: Hearing, role: str) -> bool:
        """Whether one of the person's roles is `role` or inherits it."""
        person = hearing.question.person
        if person is None:
            return False
        if role == ANYONE:
            return True
        return any(role in self._closure.get(own, NO_ROLES) for own in person.roles)


class _Matcher:
    """A matcher compiled once: `&&` and `||` over calls of registered functions with plain names.

    Casbin parses the matcher's text at every question and evaluates it node by node. Nothing else than
    those four kinds of node is accepted, so that there is nothing to guard against while it runs.
    """

    def __init__(self, text: str, *, functions: Mapping[str, Callable[..., bool]]) -> None:
        self._functions = functions
        tree = ast.parse(text.replace("&&", " and ").replace("||", " or ").strip(), mode="eval")
        self.eval = self._compile(tree.body)

    def _compile(self, node: ast.expr) -> Callable[[Names], bool]:
        if isinstance(node, ast.BoolOp):
            return self._join(
                [self._compile(part) for part in node.values], all_of=isinstance(node.op, ast.And)
            )
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            arguments = [item.id for item in node.args if isinstance(item, ast.Name)]
            if len(arguments) == len(node.args) == 2:
                return self._call(node.func.id, first=arguments[0], second=arguments[1])
        raise ValueError(f"the matcher may not hold {ast.unparse(node)!r}")

    @staticmethod
    def _join(parts: Sequence[Callable[[Names], bool]], *, all_of: bool) -> Callable[[Names], bool]:
        if all_of and len(parts) == 2:
            first, second = parts
            return lambda names: first(names) and second(names)
        if all_of:
            return lambda names: all(part(names) for part in parts)
        return lambda names: any(part(names) for part in parts)

    def _call(self, function: str, *, first: str, second: str) -> Callable[[Names], bool]:
        functions = self._functions
        # By name at every call: Casbin puts a new `g` into the table for each question.
        return lambda names: functions[function](names[first], names[second])


class _Enforcer(casbin.Enforcer):  # type: ignore[misc]  # the library has no types
    """Casbin's enforcer with fixed rows and its matcher compiled at the start."""

    def __init__(self, rows: Sequence[Row], *, roles: _Roles, speaks: Callable[[Hearing, str], bool]) -> None:
        model = Model()
        model.load_model_from_text(MODEL)
        super().__init__(model)
        model["p"]["p"].policy = rows
        model["g"]["g"].rm = roles
        self.rm_map["g"] = roles
        self.add_function("speaks", speaks)
        self._matcher = _Matcher(model["m"]["m"].value, functions=self.fm.get_functions())
        # A plain dictionary of the same sections: Casbin looks them up a dozen times for each question.
        self.model = {section: model[section] for section in model.keys()}  # noqa: SIM118  # no mapping

    def _get_expression(self, expr: str, functions: object = None) -> _Matcher:
        return self._matcher


class _Point:
    """The rules of one action and their enforcer; None where no row could ever allow or deny."""

    __slots__ = ("answers", "enforcer", "rules")

    def __init__(self, rules: ActionRules, *, roles: _Roles) -> None:
        self.rules = rules
        self.answers: dict[Said, bool] = {}  # Casbin's, where both agreed
        indexes: dict[str, int] = {}
        rows: list[Row] = []
        # Denials first: Casbin stops at the first one.
        if any(constraint.then is Effect.DENY for constraint in rules.constraints):
            rows.append((ANYONE, _DUTIES, "deny"))
        for index, grant in enumerate(rules.grants):
            rows.append((grant.role, f"grant {index}", "allow"))
            indexes[f"grant {index}"] = index

        def speaks(hearing: Hearing, rule: str) -> bool:
            return hearing.forbidden() if rule == _DUTIES else hearing.grants(indexes[rule])

        # Without rows Casbin evaluates the matcher on empty names: never let it come to that.
        self.enforcer = _Enforcer(tuple(rows), roles=roles, speaks=speaks) if rows else None
        # The first question fills Casbin's table of functions; and nobody must get nothing.
        nobody = Hearing(_NOBODY, rules=rules)
        if self.enforcer is not None and self.enforcer.enforce(nobody) is not False:
            raise ValueError(
                f"Casbin allows nobody {rules.action!r} on {rules.resource_type!r}: not published"
            )


class Enforcement:
    """Grants and duty constraints of one release, enforced by Casbin. Immutable.

    Args:
        grants: who may do what; every role is known to `role_closure`, or `anyone` (all persons of record).
        role_closure: for each role all roles that it inherits, directly or not.
        constraints: the release's constraints; the built-in ones of each chain kind are added.
        chains: the chain kinds of the release.

    Raises:
        ValueError: an id is empty or used twice, a grant's role is unknown, or a built-in constraint was
            weakened.
    """

    def __init__(
        self,
        grants: Iterable[Grant],
        role_closure: Mapping[str, frozenset[str]],
        constraints: Iterable[Constraint],
        chains: Iterable[ChainKind],
    ) -> None:
        kinds = tuple(chains)
        self._closure = {role: held | {role} for role, held in role_closure.items()}
        self._roles = _Roles(self._closure)
        self.constraints = with_built_in(constraints, chains=kinds)
        by_action: dict[tuple[str, str], list[Grant]] = {}
        for grant in grants:
            _check_grant(grant, closure=self._closure)
            for action in grant.actions:
                by_action.setdefault((grant.resource, action), []).append(grant)
        _check_names(self._closure, constraints=self.constraints, kinds=kinds)
        self._points: dict[Key, _Point] = {}
        for kind in kinds:
            for step in kind.steps:
                self._add(
                    kind.resource, step.id, grants=by_action.get((kind.resource, step.id), ()), kind=kind
                )
            self._add(kind.resource, AMEND, grants=by_action.get((kind.resource, AMEND), ()), kind=kind)
        steps = {(kind.resource, step.id) for kind in kinds for step in kind.steps}
        steps |= {(kind.resource, AMEND) for kind in kinds}
        for (resource, action), granted in by_action.items():
            # A step without its chain would escape the chain's constraints: there is no such question.
            if (resource, action) not in steps:
                self._add(resource, action, grants=granted, kind=None)
        self._steps = frozenset(steps)

    def decide(self, question: Question) -> EnforcementAnswer:
        """The answer to `question` with all its findings. Never raises: what fails denies, and says so."""
        try:
            return self._decide(question)
        except Exception as error:  # noqa: BLE001  # every failure here must deny, whatever it is
            return _denied(_failed(question, reason=type(error).__name__))

    def _decide(self, question: Question) -> EnforcementAnswer:
        kind = question.kind if question.step is not None else None
        point = self._points.get((question.resource_type, question.action, kind.id if kind else ""))
        reason = self._malformed(question, point=point)
        if reason:
            return _denied(_failed(question, reason=reason))
        if point is None:
            return _denied(no_grant(question, eligible=()))
        hearing = Hearing(question, rules=point.rules)
        said = hearing.said()
        known = point.answers.get(said)
        allowed = known
        if allowed is None:
            allowed = point.enforcer is not None and point.enforcer.enforce(hearing) is True
        # The direct evaluation, over what the rows have already said, and over those not reached.
        findings = hearing.duty_findings()
        denied = any(finding.effect is Effect.DENY for finding in findings)
        granted = bool(said[2])
        if not granted:
            findings.append(hearing.refusal())
        if allowed is (granted and not denied):
            if known is None:
                if len(point.answers) >= KEPT_ANSWERS:
                    point.answers.clear()
                point.answers[said] = allowed
            return EnforcementAnswer(allowed=allowed, findings=tuple(findings))
        point.answers.clear()
        findings.append(_mismatch(question, allowed=allowed))
        return EnforcementAnswer(allowed=False, findings=tuple(findings))

    def _add(self, resource: str, action: str, *, grants: Iterable[Grant], kind: ChainKind | None) -> None:
        constraints: tuple[Constraint, ...] = ()
        if kind is not None:
            step = kind.steps[0].id if action == AMEND else action
            constraints = tuple(item for item in self.constraints if concerns(item, kind=kind, step=step))
        rules = ActionRules.of(
            action,
            resource_type=resource,
            kind=kind,
            grants=tuple(grants),
            constraints=constraints,
            closure=self._closure,
        )
        self._points[resource, action, kind.id if kind else ""] = _Point(rules, roles=self._roles)

    def _malformed(self, question: Question, *, point: _Point | None) -> str:
        """What makes the question one that must not be put to Casbin; nothing when it is well formed."""
        person, kind, step = question.person, question.kind, question.step
        if not question.action or not question.resource_type or (person is not None and not person.id):
            return "an empty name"
        if step is None:
            if (question.resource_type, question.action) in self._steps:
                return "a step of a chain asked for without its chain"
            return ""
        amends = kind is not None and question.action == AMEND and step == kind.steps[0]
        if kind is None or not (amends or step.id == question.action):
            return "a step that is not the action asked for"
        if point is None or (point.rules.kind is not kind and point.rules.kind != kind):
            return "a chain kind that is not of this release"
        if question.history.kind != kind.id:
            return "the history of another chain kind"
        return ""


def _check_grant(grant: Grant, *, closure: Mapping[str, frozenset[str]]) -> None:
    if not grant.resource or not grant.actions or not all(grant.actions):
        raise ValueError(f"grant {grant.id!r} needs a resource type and actions, none of them empty")
    if grant.role != ANYONE and grant.role not in closure:
        raise ValueError(f"grant {grant.id!r} names the role {grant.role!r}, which is not defined")


def _check_names(
    closure: Mapping[str, frozenset[str]],
    *,
    constraints: Sequence[Constraint],
    kinds: Sequence[ChainKind],
) -> None:
    if "" in closure or any("" in held for held in closure.values()):
        raise ValueError("a role needs a name")
    if closure.get(ANYONE, NO_ROLES) - {ANYONE} or any(
        ANYONE in held - {role} for role, held in closure.items()
    ):
        raise ValueError(
            f"the role {ANYONE!r} inherits nothing and is inherited by none: all persons hold it"
        )
    if not all(item.id for item in constraints):
        raise ValueError("a constraint needs an id")
    ids = [kind.id for kind in kinds]
    if not all(ids) or len(set(ids)) != len(ids):
        raise ValueError("every chain kind needs an id of its own")
    for kind in kinds:
        steps = [step.id for step in kind.steps]
        if not kind.resource or not all(steps) or len(set(steps)) != len(steps):
            raise ValueError(f"chain kind {kind.id!r} needs a resource type and steps with ids of their own")


def _denied(finding: Finding) -> EnforcementAnswer:
    return EnforcementAnswer(allowed=False, findings=(finding,))


def _failed(question: Question, *, reason: str) -> Finding:
    return denial(
        "enforcement_error",
        origin=Origin.SYSTEM,
        title=Text("The enforcement point failed", "Falló el punto de control"),
        message=Text(
            f"Grants and duties could not be evaluated ({reason}), so the answer is no. Tell the operators.",
            f"No se pudieron evaluar las autorizaciones y funciones ({reason}), así que la respuesta es no. "
            "Avise a los operadores.",
        ),
        values={"action": question.action, "resource_type": question.resource_type, "error": reason},
    )


def _mismatch(question: Question, *, allowed: bool) -> Finding:
    verdict = Text("allowed", "permitió") if allowed else Text("denied", "denegó")
    return denial(
        "enforcement_mismatch",
        origin=Origin.SYSTEM,
        title=Text("Two evaluations disagree", "Dos evaluaciones no coinciden"),
        message=Text(
            f"Casbin {verdict.en} this and the direct evaluation of the same rules did not, so the answer is "
            "no. Tell the operators.",
            f"Casbin {verdict.es} esto y la evaluación directa de las mismas reglas no, así que la respuesta "
            "es no. Avise a los operadores.",
        ),
        values={"action": question.action, "resource_type": question.resource_type, "casbin": allowed},
    )
