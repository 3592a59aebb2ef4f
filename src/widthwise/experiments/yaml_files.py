"""YAML as the package reads it: safe, with numbers as YAML 1.2 writes them, and no field twice."""

import re
from typing import Any

import yaml


def read_yaml(text: str) -> object:
    """The content of a YAML file.

    Raises:
        yaml.YAMLError: it is not valid, or a field occurs twice.
    """
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-4 is a number, as YAML 1.2 has it, and a key is text and may not occur twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        twice = [str(key) for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.YAMLError(f"the field {twice[0]} occurs twice")
        content = super().construct_mapping(node, deep)
        return {str(key) if isinstance(key, (int, float)) else key: value for key, value in content.items()}


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)
