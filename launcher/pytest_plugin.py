"""pytest plugin: `pytest --ernie-target NAME` gives tests of your own a target and clients.

    def test_knows_our_product(ernie_chat):
        assert "ERNIE" in ernie_chat("Who are you?").choice.text

Fixtures: `ernie_target` (the `Target`), `ernie_session` (ask and judge as our checks do),
`ernie_chat` (one question, one `Answer`), `ernie_openai` and `ernie_anthropic` (the official
clients, pointed at the target). `--ernie-smoke TAG` adds our own checks as test items. Without
`--ernie-target` tests that use the fixtures are skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from launcher.json_values import JsonValue

if TYPE_CHECKING:
    import anthropic
    import openai

    from launcher.json_values import JsonValue
    from launcher.smoke.answers.answer import Answer
    from launcher.smoke.check import Check
    from launcher.smoke.session import Messages, Session
    from launcher.smoke.target import Target

SESSION = pytest.StashKey["Session"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our options; nothing heavy is imported until one is used."""
    group = parser.getgroup("ernie-deploy")
    group.addoption("--ernie-target", metavar="TARGET", help="instance, profile or URL to test")
    group.addoption("--ernie-model", metavar="NAME", help="model to ask for")
    group.addoption("--ernie-api-key", metavar="REF", help="its key: env:NAME, file:PATH, cmd:")
    group.addoption(
        "--ernie-smoke",
        metavar="TAG",
        help="run our smoke checks of this tag (quick, full, ...) as tests, too",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Collect our checks beside the user's tests where they were asked for."""
    tag = config.getoption("--ernie-smoke", default=None)
    if tag and not config.getoption("--ernie-target"):
        raise pytest.UsageError("--ernie-smoke needs --ernie-target")
    if tag:
        config.pluginmanager.register(_Smoke(tag), "ernie-deploy-smoke")


class _Smoke:
    """Adds one item a check to the session."""

    def __init__(self, tag: str) -> None:
        self.tag = tag

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Append our checks to what pytest has collected."""
        from launcher.errors import DeployError
        from launcher.smoke.check import all_checks
        from launcher.smoke.run.suite import select
        from launcher.smoke.section.custom import custom_checks

        try:
            target = _resolved(config)
            chosen = select([*all_checks(), *custom_checks(target)], tags=[self.tag])
        except DeployError as error:
            raise pytest.UsageError(str(error)) from error
        for check in chosen:
            item: SmokeItem = SmokeItem.from_parent(
                session, name=f"smoke::{check.name}", check=check, target=target
            )
            items.append(item)


class SmokeFailure(Exception):  # noqa: N818 - what pytest shows, not an error of ours
    """A check that failed or was inconclusive."""


class SmokeItem(pytest.Item):
    """One of our checks as a test: fail and inconclusive fail, could not check skips."""

    def __init__(self, name: str, parent: pytest.Session, *, check: Check, target: Target) -> None:
        super().__init__(name, parent)
        self.check = check
        self.target = target

    def runtest(self) -> None:
        """Ask, and turn the verdict into pytest's."""
        from launcher.smoke.run.suite import run_suite

        result = run_suite(self.target, names=[self.check.name])
        one = next(c for c in result.checks if c.name == self.check.name)
        if one.deviations:
            pytest.xfail(f"known deviation {one.deviations[0].id}: {one.message}")
        if result.unreachable:
            # Skipped, every item would leave pytest green over a server that is not there.
            raise SmokeFailure(one.message)
        if one.verdict == "could not check":
            pytest.skip(one.message)
        if one.verdict != "pass":
            raise SmokeFailure(f"{one.verdict}: {one.message}")

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        """The verdict without our own stack."""
        if isinstance(excinfo.value, SmokeFailure):
            return f"{self.check.purpose}\n{excinfo.value}"
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[str, None, str]:
        """Where the item is said to come from."""
        return "ernie-deploy", None, self.name


def _resolved(config: pytest.Config) -> Target:
    from launcher.smoke.targets.resolve import resolve

    target_option = config.getoption("--ernie-target")
    if not target_option:
        pytest.skip("needs --ernie-target")
    return resolve(
        target_option,
        model=config.getoption("--ernie-model"),
        key=config.getoption("--ernie-api-key"),
    )


@pytest.fixture(scope="session")
def ernie_target(request: pytest.FixtureRequest) -> Target:
    """The target of `--ernie-target`."""
    from launcher.errors import DeployError

    try:
        return _resolved(request.config)
    except DeployError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def ernie_session(ernie_target: Target, request: pytest.FixtureRequest) -> Session:
    """A session as our checks get it: `chat`, `stream`, `http`, `expect`, `require`.

    A test fails for what `expect` has noted, as a check does.
    """
    from launcher.smoke.comparison.toolset import session_of

    session = session_of(ernie_target, request.node.name)
    request.node.stash[SESSION] = session
    return session


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Ends a test that uses `ernie_session` as the suite would end a check."""
    if SESSION not in item.stash:
        return (yield)
    from launcher.smoke.outcome import Stop

    session = item.stash[SESSION]
    try:
        result = yield
    except Stop as stop:
        message = f"{stop.outcome.verdict}: {session.safe(stop.outcome.message)}"
        if stop.outcome.verdict == "could not check":
            pytest.skip(message)
        pytest.fail(message, pytrace=False)
    if session.findings:
        message = "; ".join(f.text() for f in session.findings)
        pytest.fail(f"fail: {session.safe(message)}", pytrace=False)
    return result


@pytest.fixture
def ernie_chat(ernie_session: Session) -> Callable[..., Answer]:
    """`ernie_chat(question, **parameters)`: one answer, of which status 200 is expected."""

    def chat(messages: Messages, **parameters: JsonValue) -> Answer:
        answer = ernie_session.chat(messages, **parameters)
        message = ernie_session.safe(str(answer.error))
        assert answer.status == 200, f"HTTP {answer.status}: {message}"  # noqa: S101
        return answer

    return chat


@pytest.fixture
def ernie_openai(ernie_target: Target) -> Iterator[openai.OpenAI]:
    """The official `openai` client; skips where it is not installed."""
    library = pytest.importorskip("openai")
    endpoint = ernie_target.endpoint
    with library.OpenAI(
        base_url=endpoint.base_url, api_key=endpoint.key or "none", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def ernie_anthropic(ernie_target: Target) -> Iterator[anthropic.Anthropic]:
    """The official `anthropic` client; skips where it is not installed."""
    library = pytest.importorskip("anthropic")
    endpoint = ernie_target.endpoint
    with library.Anthropic(
        base_url=endpoint.root_url, api_key=endpoint.key or "none", max_retries=0
    ) as client:
        yield client
