"""Configurations for the agent: python dicts to YAML, and defaults that suit a test."""

import json
import re

_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@:-]*|\d+[A-Za-z]+")
_MEANS_MORE = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def defaults(root, url):
    """Quick everywhere, so that no test waits for a delay meant for people."""
    return {
        "state_dir": f"{root}/state",
        "control_dir": f"{root}/control",
        "log_level": "debug",
        "chorus": {"url": url, "token_file": f"{root}/token"},
        "upload": {"retry_first": "50ms", "retry_max": "1s", "resend_after": "1s"},
        "watches": {
            "calls": {
                "path": f"{root}/calls",
                "owner": "team@example.com",
                "since": "all",
                "settle": "200ms",
                "quiet": "1s",
                "rescan": "1s",
            }
        },
    }


def merge(base, changes):
    """`base` with `changes` laid over it, level by level; None takes a key away."""
    merged = dict(base)
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def scalar(value):
    """One value as YAML: quoted unless it can only be read one way."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _MEANS_MORE and not text.endswith(":"):
        return text
    if any(ord(c) < 32 for c in text):
        return json.dumps(text, ensure_ascii=False)
    return "'" + text.replace("'", "''") + "'"


def to_yaml(value, indent=0):
    """A dict as block YAML; lists of scalars stand on one line."""
    pad = "  " * indent
    lines = []
    for key, item in value.items():
        if isinstance(item, dict):
            lines.append(f"{pad}{scalar(key)}:")
            lines.append(to_yaml(item, indent + 1))
        elif isinstance(item, (list, tuple)) and any(isinstance(one, dict) for one in item):
            lines.append(f"{pad}{scalar(key)}:")
            lines += [_list_item(one, indent + 1) for one in item]
        elif isinstance(item, (list, tuple)):
            lines.append(f"{pad}{scalar(key)}: [{', '.join(scalar(one) for one in item)}]")
        else:
            lines.append(f"{pad}{scalar(key)}: {scalar(item)}")
    return "\n".join(lines) + ("" if indent else "\n")


def _list_item(item, indent):
    block = to_yaml(item, indent + 1)
    at = 2 * indent
    return block[:at] + "- " + block[at + 2:]
