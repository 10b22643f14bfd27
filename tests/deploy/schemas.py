"""Checks Kubernetes objects against the schemas of Kubernetes and of custom resources.

Usage: schemas.py VERSION... FOLDER <objects.json

Reads a JSON array of objects, checks each against the schemas of every VERSION of Kubernetes, or, where
its kind is a custom resource, against its definition in FOLDER, and prints a line for each mistake. A
field that the schema does not know is one; so is a kind that has none. Rules of definitions that are
written in CEL (x-kubernetes-validations) are an API server's alone: they are not checked.
"""

import json
import pathlib
import sys

import jsonschema
import kubernetes_validate
import yaml

# YAML 1.1 has a type for a lone `=`, which definitions use as text.
yaml.CSafeLoader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def definitions(folder):
    """The schema of each custom resource, by group, version and kind."""
    schemas = {}
    for file in sorted(pathlib.Path(folder).glob("*.yaml")):
        with file.open() as text:
            for crd in filter(None, yaml.load_all(text, Loader=yaml.CSafeLoader)):
                spec = crd["spec"]
                for version in filter(lambda version: version["served"], spec["versions"]):
                    key = f'{spec["group"]}/{version["name"]}', spec["names"]["kind"]
                    schemas[key] = of_object(version["schema"]["openAPIV3Schema"])
    return schemas


# What we write of Kubernetes' ObjectMeta, which definitions leave out.
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": TEXTS,
        "annotations": TEXTS,
    },
}


def of_object(schema):
    """A definition's schema, with what every object has."""
    schema.setdefault("properties", {}).update(apiVersion={}, kind={}, metadata=METADATA)
    return strict(schema)


def strict(schema):
    """Refuses what is not described. Kubernetes drops such fields, or warns of them."""
    for part in schema.get("properties", {}).values():
        strict(part)
    for name in "items", "additionalProperties":
        if isinstance(schema.get(name), dict):
            strict(schema[name])
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in schema and not open_ended:
        schema.setdefault("additionalProperties", False)
    return schema


def mistakes(thing, versions, custom):
    """What is wrong with an object."""
    schema = custom.get((thing["apiVersion"], thing["kind"]))
    if schema is not None:
        for error in jsonschema.Draft202012Validator(schema).iter_errors(thing):
            yield f"{error.json_path}: {error.message}"
        return
    for version in versions:
        try:
            kubernetes_validate.validate(thing, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"Kubernetes {version}: {error.json_path}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"Kubernetes {version}: {error.message}"


def main():
    *versions, folder = sys.argv[1:]
    custom = definitions(folder)
    wrong = False
    for thing in json.load(sys.stdin):
        name = f'{thing["kind"]} {thing["metadata"]["name"]}'
        for mistake in mistakes(thing, versions, custom):
            print(f"{name}: {mistake}")
            wrong = True
    sys.exit(wrong)


main()
