# JSON Schema, as much of it as doc/result.schema.json uses; an unknown word is an error, so that none
# is taken for kept.  Where python3-jsonschema is installed it must agree.
#   schema.py SCHEMA FILE..      exit 1 and a line for each that is not as the schema says
import json, re, sys

TYPES = {"object": dict, "array": list, "string": str, "null": type(None), "boolean": bool}
SILENT = {"$schema", "title", "description", "$defs"}


def is_type(value, name):
    if name in ("integer", "number"):
        return isinstance(value, int if name == "integer" else (int, float)) and not isinstance(value, bool)
    return isinstance(value, TYPES[name])


def check(value, s, root, where="result"):
    """Yields what is wrong."""
    for word, arg in s.items():
        if word in SILENT or word in ("then", "else"):
            pass
        elif word == "$ref":
            target = root
            for part in arg.removeprefix("#/").split("/"):
                target = target[part]
            yield from check(value, target, root, where)
        elif word == "type":
            if not any(is_type(value, t) for t in ([arg] if isinstance(arg, str) else arg)):
                yield f"{where} is {value!r}, not of type {arg}"
        elif word == "enum":
            if value not in arg:
                yield f"{where} is {value!r}, not one of {arg}"
        elif word == "const":
            if value != arg or isinstance(value, bool) != isinstance(arg, bool):
                yield f"{where} is {value!r}, not {arg!r}"
        elif word in ("minimum", "maximum"):
            if is_type(value, "number") and (value < arg if word == "minimum" else value > arg):
                yield f"{where} is {value}, {word} {arg}"
        elif word == "pattern":
            if isinstance(value, str) and not re.search(arg, value):
                yield f"{where} is {value!r}, which does not match {arg}"
        elif word == "required":
            yield from (f"{where}.{k} is missing" for k in arg if isinstance(value, dict) and k not in value)
        elif word == "dependentRequired":
            for k, others in arg.items():
                yield from (f"{where}.{o} is missing" for o in others if isinstance(value, dict) and k in value and o not in value)
        elif word == "properties":
            for k, sub in arg.items():
                if isinstance(value, dict) and k in value:
                    yield from check(value[k], sub, root, f"{where}.{k}")
        elif word == "additionalProperties":
            assert arg is False
            yield from (f"{where}.{k} is not known" for k in (value if isinstance(value, dict) else ()) if k not in s["properties"])
        elif word == "items":
            for i, v in enumerate(value if isinstance(value, list) else ()):
                yield from check(v, arg, root, f"{where}[{i}]")
        elif word == "allOf":
            for sub in arg:
                yield from check(value, sub, root, where)
        elif word == "if":
            branch = "else" if list(check(value, arg, root)) else "then"
            yield from check(value, s.get(branch, {}), root, where)
        else:
            raise ValueError(f"{word} is no word of schemas that this knows")


def errors(value, schema):
    found = list(check(value, schema, schema))
    try:
        import jsonschema
        other = getattr(jsonschema, "Draft202012Validator", None)
    except ImportError:
        other = None
    if other and bool(list(other(schema).iter_errors(value))) != bool(found):
        found.append(f"jsonschema disagrees: {[e.message for e in other(schema).iter_errors(value)]} and {found}")
    return found


def main():
    schema = json.load(open(sys.argv[1]))
    bad = 0
    for path in sys.argv[2:]:
        for e in errors(json.load(open(path)), schema):
            bad = 1
            print(f"{path}: {e}")
    sys.exit(bad)


if __name__ == "__main__":
    main()
