"""YAML documents, read strictly: plain values only, and a key that stands twice in a mapping is an error."""

from pathlib import Path
from typing import Any

import yaml

from mmbench.errors import InvalidSetting

__all__ = ["read"]


class _Strict(yaml.SafeLoader):
    """The safe loader, which by itself lets the last of two equal keys win."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def read(path: Path) -> Any:
    """The document in a file, as plain values.

    Raises:
        InvalidSetting: a file that cannot be read, is no YAML, or has a key twice; names the line.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Strict)  # derived from the safe loader
    except OSError as error:
        raise InvalidSetting(f"plan {path} cannot be read ({error.strerror}); name another file.") from error
    except UnicodeDecodeError as error:
        raise InvalidSetting(f"plan {path} is not text in UTF-8; save it as such.") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = "" if mark is None else f", line {mark.line + 1}"
        raise InvalidSetting(f"plan {path}{line}: {error.problem}; a plan is a YAML file.") from error
    except yaml.YAMLError as error:
        raise InvalidSetting(f"plan {path} is no YAML: {' '.join(str(error).split())}.") from error
