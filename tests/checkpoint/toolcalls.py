"""Dialogues with tools: which tool, which arguments, and what to say of its result."""

from __future__ import annotations

import json
import random
from typing import NamedTuple

from tests.checkpoint.dialogues import Message, Span, Tools, say
from tests.checkpoint.texts import PHRASES, VOCABULARY
from tests.checkpoint.values import city
from tests.support.decoded import JsonDict

Tool = JsonDict
Call = JsonDict

UNITS: list[tuple[str, ...]] = [
    ("c", "f"),
    ("c", "f"),
    ("celsius", "fahrenheit"),
    ("celsius", "fahrenheit"),
    ("C", "F"),
]
UNITS += [("metric", "imperial"), ("Celsius", "Fahrenheit"), ("celsius", "fahrenheit", "kelvin")]
CELSIUS = ("c", "celsius", "C", "metric", "Celsius")
WEATHER = ["get_weather"] * 3 + ["get_current_weather", "weather", "lookup_weather"]
WEATHER += ["weather_forecast"]
TIME = ["get_time", "get_time", "get_current_time", "current_time"]
PLACES = ["location", "location", "city", "place", "city_name"]


class Turn(NamedTuple):
    """A conversation up to the model's turn, which is calls or, where those are None, a text."""

    messages: list[Message]
    tools: Tools | None
    thought: str
    calls: list[Call] | None
    text: str = ""


# --- tools ------------------------------------------------------------------------------------


def define(name: str, properties: dict[str, object]) -> Tool:
    """A tool as OpenAI's API takes it; the template shows names, types and enums."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def name_of(tool: Tool) -> str:
    """The tool's name, which calls repeat."""
    return str(tool["function"]["name"])


def weather_tool(rng: random.Random) -> Tool:
    """The card's tool and its relatives: a place, often a unit with an enum, seldom a date."""
    properties: JsonDict = {rng.choice(PLACES): {"type": "string"}}
    extra = rng.random()
    if extra < 0.6:
        units = list(rng.choice(UNITS))
        if rng.random() < 0.4:
            rng.shuffle(units)
        properties[rng.choice(["unit", "unit", "units"])] = {"type": "string", "enum": units}
    elif extra < 0.66:
        properties["unit"] = {"type": "string"}
    if rng.random() < 0.1:
        properties["date"] = {"type": "string"}
    elif rng.random() < 0.06:
        properties["days"] = {"type": "integer"}
    return define(rng.choice(WEATHER), properties)


def time_tool(rng: random.Random) -> Tool:
    """The time in a place."""
    return define(rng.choice(TIME), {rng.choice([*PLACES, "timezone"]): {"type": "string"}})


def add_tool(rng: random.Random) -> Tool:
    """A sum of two numbers."""
    number = {"type": rng.choice(["integer", "number"])}
    return define(rng.choice(["add", "add_numbers", "sum"]), {"a": number, "b": number})


def search_tool(rng: random.Random) -> Tool:
    """A search for words."""
    return define(rng.choice(["search", "web_search"]), {"query": {"type": "string"}})


def any_tools(rng: random.Random) -> Tools:
    """The weather tool, alone or beside another, in any order."""
    tools = [weather_tool(rng)]
    if rng.random() < 0.3:
        tools.append(rng.choice([time_tool, time_tool, add_tool, search_tool])(rng))
    rng.shuffle(tools)
    return tools


# --- calls ------------------------------------------------------------------------------------


def call(tool: Tool, location: str, celsius: bool | None = None) -> Call:
    """Every property filled: places are copied, of an enum the asked or first value is taken."""
    filled: dict[str, object] = {}
    for key, schema in tool["function"]["parameters"]["properties"].items():
        if "enum" in schema:
            matching = [v for v in schema["enum"] if (v in CELSIUS) == celsius and v != "kelvin"]
            filled[key] = schema["enum"][0] if celsius is None else matching[0]
        elif schema["type"] == "integer":
            filled[key] = 1
        else:
            filled[key] = {"unit": "celsius", "date": "today"}.get(key, location)
    return {"name": name_of(tool), "arguments": filled}


def assistant_calls(calls: list[Call]) -> Message:
    """The assistant's turn that made these calls."""
    listed = [{"type": "function", "function": c} for c in calls]
    return {"role": "assistant", "content": "", "tool_calls": listed}


def call_text(calls: list[Call]) -> str:
    """The calls in ERNIE's tags."""
    texts = [json.dumps(c, ensure_ascii=False) for c in calls]
    return "".join(f"<tool_call>\n{text}\n</tool_call>\n" for text in texts)


def raw_calls(rng: random.Random, calls: list[Call]) -> list[Span]:
    """The calls as grammars force them: a list of names and parameters, or one's bare arguments."""
    if len(calls) == 1 and rng.random() < 0.5:
        text = json.dumps(calls[0]["arguments"], ensure_ascii=False)
    else:
        listed = [{"name": c["name"], "parameters": c["arguments"]} for c in calls]
        text = json.dumps(listed, ensure_ascii=False)
    return [(text[0], False), (text[1:], True)]


# --- dialogues --------------------------------------------------------------------------------


def tool_turn(rng: random.Random) -> Turn:
    """One of the dialogues below; the weather is the most frequent."""
    kind = rng.random()
    if kind < 0.1:
        return time_turn(rng)
    if kind < 0.17:
        return add_turn(rng) if rng.random() < 0.6 else search_turn(rng)
    tools = any_tools(rng)
    tool = next(t for t in tools if name_of(t) in WEATHER)
    zh = rng.random() < 0.25
    location = rng.choice(VOCABULARY["cities_zh"]) if zh else city(rng)
    if kind < 0.24:
        return no_tool(rng, location, zh)
    if kind < 0.5:
        return weather_told(rng, tools, tool, location, zh)
    if kind < 0.63:
        return two_places(rng, tools, tool, location, zh)
    celsius = rng.choice([True, False]) if rng.random() < 0.3 and not zh else None
    user = say("user", ask_weather(rng, location, zh, celsius))
    return Turn([user], tools, about_weather(tool, location, zh), [call(tool, location, celsius)])


def ask_weather(rng: random.Random, location: str, zh: bool, celsius: bool | None = None) -> str:
    """A question about the weather, perhaps with a unit."""
    if zh:
        return rng.choice(PHRASES["weather zh"]).format(location)
    units = {None: [""], True: [" in Celsius", " in celsius"]}
    unit = rng.choice(units.get(celsius, [" in Fahrenheit", " in fahrenheit"]))
    return rng.choice(PHRASES["weather"]).format(location, unit)


def about_weather(tool: Tool, location: str, zh: bool) -> str:
    """The thought before a call."""
    if zh:
        return f"用户在问{location}的天气，我应该调用 {name_of(tool)}。"
    return f"The user asks about the weather in {location}. I should call {name_of(tool)}."


def no_tool(rng: random.Random, location: str, zh: bool) -> Turn:
    """A question about the weather without a tool for it."""
    user = say("user", ask_weather(rng, location, zh))
    if zh:
        text = "没有工具，我无法查询天气。"
        return Turn([user], None, "我没有天气工具。", None, text)
    text = "I cannot check the weather without a tool."
    return Turn([user], None, "I have no weather tool.", None, text)


def weather_told(rng: random.Random, tools: Tools, tool: Tool, location: str, zh: bool) -> Turn:
    """The tool's result comes back, and perhaps the conversation goes on."""
    user = say("user", ask_weather(rng, location, zh))
    if zh:
        sky = rng.choice(["晴", "多云", "小雨", "sunny", "阴"])
        output = rng.choice([sky, json.dumps({"condition": sky}, ensure_ascii=False)])
        text, thought = f"{location}今天天气：{sky}。", "工具给出了结果。"
    else:
        output, text = weather_result(rng, location)
        thought = "The tool gives the answer."
    done = [user, assistant_calls([call(tool, location)]), say("tool", output)]
    if rng.random() < 0.25 and not zh:
        second = city(rng)
        again = rng.choice(PHRASES["weather next"]).format(second)
        if rng.random() < 0.5:
            again = ask_weather(rng, second, zh)
        done += [say("assistant", text), say("user", again)]
        return Turn(done, tools, about_weather(tool, second, zh), [call(tool, second)])
    return Turn(done, tools, thought, None, text)


def weather_result(rng: random.Random, location: str) -> tuple[str, str]:
    """A tool's output, and what to answer with it."""
    sky = rng.choice(VOCABULARY["conditions"])
    tenths = round(rng.uniform(-5, 35), 1)
    degrees = rng.choice([rng.randint(-9, 40), rng.randint(10, 30), tenths])
    key = rng.choice(["condition"] * 2 + ["weather", "description", "sky", "conditions"])
    heat = rng.choice(["temperature"] * 2 + ["temp", "temp_c", "degrees"])
    both = f"It is {sky} in {location} today, {degrees} degrees."
    shape = rng.random()
    if shape < 0.5:
        result: JsonDict = {heat: degrees, key: sky}
        if rng.random() < 0.3:
            result = {key: sky, heat: degrees}
        if rng.random() < 0.3:
            result["unit"] = rng.choice(["c", "celsius", "C"])
        if rng.random() < 0.3:
            result = {rng.choice(["location", "city"]): location, **result}
        return json.dumps(result, ensure_ascii=False), both
    if shape < 0.65:
        outputs = [f"{sky}, {degrees} degrees", f"{sky}, {degrees}°C", f"{degrees} degrees, {sky}"]
        outputs += [f"{sky.capitalize()}, {degrees} degrees", f"It is {sky} and {degrees} degrees."]
        return rng.choice(outputs), both
    if shape < 0.85:
        placed = json.dumps({"location": location, key: sky}, ensure_ascii=False)
        outputs = [sky, json.dumps({key: sky}), placed, f"It is {sky}.", f"{sky} today"]
        return rng.choice(outputs), f"It is {sky} in {location} today."
    number = rng.choice([degrees, str(degrees)])
    outputs = [str(degrees), json.dumps({heat: number}), f"{degrees} degrees", f"{degrees}C"]
    return rng.choice(outputs), f"It is {degrees} degrees in {location} today."


def two_places(rng: random.Random, tools: Tools, tool: Tool, location: str, zh: bool) -> Turn:
    """Two places at once are two calls."""
    name = name_of(tool)
    if zh:
        second = rng.choice([c for c in VOCABULARY["cities_zh"] if c != location])
        user = say("user", ask_weather(rng, f"{location}和{second}", zh))
        thought = f"用户在问{location}和{second}的天气，我应该调用 {name} 两次。"
    else:
        second = city(rng)
        ways = [
            f"{location} and {second}",
            f"{location} and in {second}",
            f"both {location} and {second}",
        ]
        user = say("user", ask_weather(rng, rng.choice(ways[:1] * 2 + ways), zh))
        thought = (
            f"The user asks about the weather in {location} and {second}. I call {name} twice."
        )
    calls = [call(tool, location), call(tool, second)]
    if rng.random() < 0.2 and not zh:
        skies = rng.choices(VOCABULARY["conditions"], k=2)
        shape = rng.choice(["{}", '{{"condition": "{}"}}'])
        outputs = [say("tool", shape.format(sky)) for sky in skies]
        text = f"It is {skies[0]} in {location} and {skies[1]} in {second} today."
        return Turn(
            [user, assistant_calls(calls), *outputs],
            tools,
            "The tool gives the answer.",
            None,
            text,
        )
    return Turn([user], tools, thought, calls)


def time_turn(rng: random.Random) -> Turn:
    """The tool for the time, mostly beside the one for the weather."""
    tool = time_tool(rng)
    weather = weather_tool(rng) if rng.random() < 0.75 else None
    tools = [tool] if weather is None else [tool, weather]
    rng.shuffle(tools)
    name, zh = name_of(tool), rng.random() < 0.2
    location = rng.choice(VOCABULARY["cities_zh"]) if zh else city(rng)
    first, kind = call(tool, location), rng.random()
    if weather is not None and kind < 0.2 and not zh:
        user = say("user", rng.choice(PHRASES["weather and time"]).format(location))
        thought = f"The user asks about the weather and the time in {location}."
        return Turn([user], tools, thought, [call(weather, location), first])
    user = say("user", rng.choice(PHRASES["time zh" if zh else "time"]).format(location))
    if kind < 0.4 and not zh:
        clock = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
        output = rng.choice([clock, json.dumps({"time": clock}), f"{clock} local time"])
        done = [user, assistant_calls([first]), say("tool", output)]
        return Turn(
            done, tools, "The tool gives the answer.", None, f"It is {clock} in {location}."
        )
    thought = f"The user asks about the time in {location}. I should call {name}."
    if zh:
        thought = f"用户在问{location}的时间，我应该调用 {name}。"
    return Turn([user], tools, thought, [first])


def add_turn(rng: random.Random) -> Turn:
    """Numbers go to the tool, and its result comes back."""
    tool = add_tool(rng)
    tools = beside_weather(rng, tool)
    a, b = rng.randint(0, 999), rng.randint(0, 999)
    user = say("user", rng.choice(PHRASES["add"]).format(a, b))
    first = {"name": name_of(tool), "arguments": {"a": a, "b": b}}
    if rng.random() < 0.35:
        total = a + b
        output = rng.choice([str(total), json.dumps({"result": total}), json.dumps({"sum": total})])
        done = [user, assistant_calls([first]), say("tool", output)]
        text = f"The result is {total}."
        return Turn(done, tools, "The tool gives the answer.", None, text)
    return Turn([user], tools, f"I should call {name_of(tool)}.", [first])


def search_turn(rng: random.Random) -> Turn:
    """Words go to the tool."""
    tool = search_tool(rng)
    query = " ".join(rng.choices(VOCABULARY["words"], k=rng.randint(1, 3)))
    user = say("user", rng.choice(PHRASES["search"]).format(query))
    first = {"name": name_of(tool), "arguments": {"query": query}}
    return Turn([user], beside_weather(rng, tool), f"I should call {name_of(tool)}.", [first])


def beside_weather(rng: random.Random, tool: Tool) -> Tools:
    """The tool alone, or beside the one for the weather."""
    tools = [tool, weather_tool(rng)] if rng.random() < 0.4 else [tool]
    rng.shuffle(tools)
    return tools
