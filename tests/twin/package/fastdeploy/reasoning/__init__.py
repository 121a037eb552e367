"""Names of the reasoning parsers."""

from fastdeploy._twin import checks


class ReasoningParserManager:
    reasoning_parsers = dict.fromkeys(sorted(checks.names(checks.REASONING)))
