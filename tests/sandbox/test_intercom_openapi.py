"""The simulated Intercom against Intercom's published description of its API.

The description is not part of this project. Where it lies beside it, or where INTERCOM_OPENAPI points to it, its
schemas judge what the sandbox answers; elsewhere there is nothing to collect here.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

from sandbox.world import World
from tests.sandbox.conftest import Caller

ROOT = Path(__file__).parents[2]
BESIDE = ROOT.parent / "shared" / "intercom-openapi" / "api.intercom.io-2.16.yaml"
DESCRIPTION = Path(os.environ.get("INTERCOM_OPENAPI", BESIDE))


@cache
def _registry() -> Registry[Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(DESCRIPTION.read_text(), Loader=loader)
    return Registry().with_resource("urn:intercom", Resource(document, DRAFT4))


def _check(answer: Any, schema: str) -> None:
    """What the schema objects to. Times are declared as texts of a format, and sent as numbers: no format checks."""
    reference = {"$ref": f"urn:intercom#/components/schemas/{schema}"}
    validator = OAS30Validator(reference, registry=_registry())
    faults = [f"{'/'.join(map(str, fault.path))}: {fault.message}" for fault in validator.iter_errors(answer)]
    assert not faults, faults[:5]


def _answers(intercom: Caller, world: World) -> dict[str, Any]:
    """One answer of each kind, by the name of its schema."""
    user = {"role": "user", "email": "a@b.co", "name": "Ann", "custom_attributes": {"plan": "pro"}}
    made = intercom("POST", "/contacts", {**user, "signed_up_at": 1768000000}).json
    lead = intercom("POST", "/contacts", {"role": "lead", "email": "a@b.co"}).json
    path = f"/contacts/{made['id']}"
    tag = intercom("POST", "/tags", {"name": "VIP"}).json
    intercom("POST", f"{path}/tags", {"id": tag["id"]})
    query = {"field": "email", "operator": "=", "value": "a@b.co"}
    search = intercom("POST", "/contacts/search", {"query": query, "pagination": {"per_page": 1}}).json
    segments = intercom("GET", "/segments?include_count=true").json
    merged = intercom("POST", "/contacts/merge", {"from": lead["id"], "into": made["id"]}).json
    attribute = {"name": "Tier", "model": "contact", "data_type": "string"}
    # How Intercom tells of a reference is not known: the description has no word for it.
    world.workspaces["sandbox1"].attributes.pop("Account manager")
    return {
        "admin_with_app": [intercom("GET", "/me").json],
        "contact": [made, lead, merged, intercom("GET", f"{path}?include_merge_history=true").json],
        "contact_list": [search, intercom("GET", "/contacts?per_page=1").json],
        "data_attribute": [intercom("POST", "/data_attributes", attribute).json],
        "data_attribute_list": [intercom("GET", "/data_attributes?include_archived=true").json],
        "segment_list": [segments],
        "segment": [intercom("GET", f"/segments/{segments['segments'][0]['id']}").json],
        "contact_segments": [intercom("GET", f"{path}/segments").json],
        "tag": [tag],
        "tag_list": [intercom("GET", "/tags").json, intercom("GET", f"{path}/tags").json],
        "merge_history_list": [intercom("GET", f"{path}/merge_history").json],
        "contact_archived": [intercom("POST", f"{path}/archive").json],
        "contact_unarchived": [intercom("POST", f"{path}/unarchive").json],
        "error": [
            intercom("GET", f"/contacts/{lead['id']}").json,
            intercom("POST", "/contacts", user).json,
            intercom("GET", "/me", Authorization="none").json,
            intercom("POST", "/contacts/search", {"query": None}).json,
        ],
        "contact_deleted": [intercom("DELETE", path).json],
    }


if DESCRIPTION.exists():

    def test_every_answer_is_as_intercom_describes_it(intercom: Caller, world: World) -> None:
        for schema, answers in _answers(intercom, world).items():
            for answer in answers:
                _check(answer, schema)

    @pytest.mark.parametrize(
        ("path", "method"),
        [
            ("/me", "get"),
            ("/contacts", "get"),
            ("/contacts", "post"),
            ("/contacts/search", "post"),
            ("/contacts/merge", "post"),
            ("/contacts/find_by_external_id/{external_id}", "get"),
            ("/contacts/{contact_id}", "get"),
            ("/contacts/{contact_id}", "put"),
            ("/contacts/{contact_id}", "delete"),
            ("/contacts/{contact_id}/archive", "post"),
            ("/contacts/{contact_id}/unarchive", "post"),
            ("/contacts/{contact_id}/block", "post"),
            ("/contacts/{contact_id}/segments", "get"),
            ("/contacts/{contact_id}/tags", "post"),
            ("/data_attributes", "get"),
            ("/data_attributes", "post"),
            ("/segments", "get"),
            ("/segments/{segment_id}", "get"),
            ("/tags", "get"),
            ("/tags", "post"),
        ],
    )
    def test_every_path_is_one_of_intercoms(path: str, method: str) -> None:
        paths = _registry().contents("urn:intercom")["paths"]
        assert method in paths[path]
