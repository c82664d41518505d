"""Kubernetes objects against the published schemas of their kinds; unknown fields are refused.

    kubernetes_schema.py VERSION CRD_FOLDER RENDERED.yaml…

The kinds of Kubernetes itself: the package kubernetes-validate. Other kinds: the
CustomResourceDefinitions in CRD_FOLDER; a kind that is neither here nor there is named.
"""

import glob
import sys

import jsonschema
import kubernetes_validate
import yaml


class Loader(yaml.SafeLoader):
    """`=` is a plain word to everybody but YAML 1.1, and the operator's schemas have it."""


Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def close_schema(schema):
    """An OpenAPI v3 schema as JSON schema in which an object has the fields it names and no others."""
    if isinstance(schema, list):
        return [close_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: close_schema(value) for key, value in schema.items()}
    if result.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
        result["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if isinstance(result.get("properties"), dict) and "additionalProperties" not in result:
        result["additionalProperties"] = bool(result.get("x-kubernetes-preserve-unknown-fields"))
    return result


def load_custom_kinds(folder):
    """The schema of each version of each kind, by its apiVersion and name."""
    kinds = {}
    for path in glob.glob(f"{folder}/*.yaml"):
        with open(path) as file:
            for crd in filter(None, yaml.load_all(file, Loader)):
                spec = crd["spec"]
                for version in spec["versions"]:
                    schema = close_schema(version["schema"]["openAPIV3Schema"])
                    # What the API server has in common for all kinds, and a CRD leaves out.
                    schema["properties"].update(
                        apiVersion={"type": "string"}, kind={"type": "string"}, metadata={"type": "object"}
                    )
                    kinds[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    return kinds


def main(version, crds, *paths):
    assert paths, "no file to check"
    kinds = load_custom_kinds(crds)
    for path in paths:
        overlay = path.rsplit("/", 1)[-1].removesuffix(".yaml")
        passed = 0
        with open(path) as file:
            objects = [found for found in yaml.load_all(file, Loader) if found]
        if not objects:
            print(f"FAIL {overlay}: it has no objects")
        for found in objects:
            name = f"{overlay}: {found['kind']} {found['metadata']['name']}"
            kind = found["apiVersion"], found["kind"]
            try:
                if kind in kinds:
                    jsonschema.Draft202012Validator(kinds[kind]).validate(found)
                else:
                    kubernetes_validate.validate(found, version, strict=True)
            except kubernetes_validate.SchemaNotFoundError:
                print(f"SKIPPED {name} (missing: a schema of {kind[0]}; save the "
                      f"CustomResourceDefinition as a .yaml file in {crds})")
            except (kubernetes_validate.ValidationError, jsonschema.ValidationError) as error:
                where = "/".join(str(part) for part in error.absolute_path)
                print(f"FAIL {name}: {where}: {error.message[:300]}")
            else:
                passed += 1
        print(f"ok {overlay}: {passed} of {len(objects)} objects are what Kubernetes {version} and the CRDs say")


main(*sys.argv[1:])
