"""Results of rule tests as JUnit XML, the form that build servers read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from xml.etree import ElementTree as ET

from controls.model.errors import Diagnostic
from controls.rules.examples import ExampleResult
from controls.services.releases import CheckedRelease, example_failure
from controls.services.scenarios import ScenarioResult

# What XML 1.0 cannot hold, not even escaped.
_REFUSED: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_of(checked: CheckedRelease, *, threshold: int | None) -> bytes:
    """One suite for examples, one for scenarios, and one for the threshold where there is one."""
    suites = [
        _suite("examples", (_example(item) for item in checked.examples)),
        _suite("scenarios", (_scenario(item) for item in checked.scenarios)),
    ]
    if threshold is not None:
        percent = checked.coverage.percent
        case = _case("coverage", f"at least {threshold} percent")
        if percent < threshold:
            _add(case, "failure", f"{percent} percent of the ways of rules are covered")
        suites.append(_suite("coverage", [case]))
    return _document(suites)


def junit_of_invalid(diagnostics: Iterable[Diagnostic]) -> bytes:
    """Files that do not load: one error for each diagnostic."""
    cases = []
    for item in diagnostics:
        case = _case(item.file, f"{item.line}:{item.column}", file=item.file, line=item.line)
        _add(case, "error", f"{item.code}: {item.message}")
        cases.append(case)
    return _document([_suite("files", cases)])


def _example(item: ExampleResult) -> ET.Element:
    case = _case(item.rule, f"{item.example} ({item.engine})", file=item.file, line=item.line)
    if not item.passed:
        _add(case, "failure", example_failure(item))
    return case


def _scenario(item: ScenarioResult) -> ET.Element:
    case = _case(item.file, item.scenario, file=item.file, line=item.line)
    if not item.passed:
        _add(case, "failure", item.failure)
    return case


def _case(group: str, name: str, *, file: str = "", line: int = 0) -> ET.Element:
    told = {"classname": _plain(group), "name": _plain(name)}
    return ET.Element("testcase", told | ({"file": _plain(file), "line": str(line)} if file else {}))


def _add(case: ET.Element, kind: str, message: str) -> None:
    ET.SubElement(case, kind, {"message": _plain(message)}).text = _plain(message)


def _suite(name: str, cases: Iterable[ET.Element]) -> ET.Element:
    suite = ET.Element("testsuite", {"name": name})
    suite.extend(cases)
    _count(suite)
    return suite


def _document(suites: Iterable[ET.Element]) -> bytes:
    root = ET.Element("testsuites", {"name": "controls rules test"})
    root.extend(suites)
    _count(root)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(element.findall(".//testcase"))))
    for kind in ("failure", "error"):
        element.set(f"{kind}s", str(len(element.findall(f".//testcase/{kind}"))))


def _plain(text: str) -> str:
    return _REFUSED.sub("\ufffd", text)
