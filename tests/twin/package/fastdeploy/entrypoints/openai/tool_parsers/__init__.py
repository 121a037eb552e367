"""Names of the tool parsers."""

from fastdeploy._twin import checks


class ToolParserManager:
    tool_parsers = dict.fromkeys(sorted(checks.names(checks.TOOL)))
