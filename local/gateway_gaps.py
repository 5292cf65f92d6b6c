"""Where ministack's API Gateway (REST) and Lambda differ from AWS and a deployment would notice: corrected in place.

Each correction names the page of the AWS documentation that it follows. ministack's settings must be in the
environment before this module is imported.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from ministack.core import lambda_runtime
from ministack.core.arn import execute_api_arn
from ministack.core.iam_evaluator import EvalContext, evaluate_resource_policy
from ministack.services import apigateway_v1 as gateway
from ministack.services import lambda_svc

Answer = tuple[int, Mapping[str, str], bytes]
Handle = Callable[..., Awaitable[Answer]]
Document = dict[str, Any]

ALLOWED, DENIED = "Allow", "Deny"
_VERBS = ("get", "post", "put", "delete", "patch", "head", "options")


def fill() -> None:
    """Corrects ministack for this process."""
    _import_whole_documents()
    _heed_resource_policies()
    _show_a_function_only_its_package()
    _make_functions_ready_at_once()


# API Gateway: documents come in by import and by overwriting (API_ImportRestApi, API_PutRestApi)


def _import_whole_documents() -> None:
    handle: Handle = gateway.handle_request

    async def importing(method: str, path: str, headers: Any, body: bytes, query: Mapping[str, Any]) -> Answer:
        steps = path.strip("/").split("/")
        mode = _first(query.get("mode"))
        if steps == ["restapis"] and method == "POST" and mode == "import":
            return _answer(201, _imported(json.loads(body)))
        if len(steps) == 2 and steps[0] == "restapis" and method == "PUT":
            return _overwritten(steps[1], json.loads(body), mode or "merge")
        if len(steps) == 2 and steps[0] == "restapis" and method == "PATCH":
            return _numbered(steps[1], await handle(method, path, headers, body, query))
        return await handle(method, path, headers, body, query)

    gateway.handle_request = importing


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _answer(status: int, api: Document) -> Answer:
    answer: Answer = gateway._v1_response(gateway._rest_api_view(api), status)
    return answer


def _imported(document: Document) -> Document:
    api: Document = gateway._rest_apis[gateway._import_rest_api(document)]
    _take_extensions(api, document)
    return api


def _overwritten(api_id: str, document: Document, mode: str) -> Answer:
    """`overwrite` forgets everything that the document does not say, also what was set by hand."""
    api: Document | None = gateway._rest_apis.get(api_id)
    if api is None:
        missing: Answer = gateway._v1_error("NotFoundException", "Invalid API identifier specified", 404)
        return missing
    if mode == "overwrite":
        _forget(api_id)
    schemes = gateway._import_security_schemes(api_id, document)
    for path, item in document.get("paths", {}).items():
        gateway._import_path_item(api_id, path, item, schemes, document.get("security"))
    _take_extensions(api, document)
    return _answer(200, api)


def _forget(api_id: str) -> None:
    resources: dict[str, Document] = gateway._resources[api_id]
    for resource_id in [each for each, resource in resources.items() if resource["path"] != "/"]:
        del resources[resource_id]
    for root in resources.values():
        root["resourceMethods"] = {}
    gateway._request_validators.pop(api_id, None)


def _take_extensions(api: Document, document: Document) -> None:
    """What ministack's import leaves out: policy, binary types, validators, required parameters."""
    api["policy"] = document.get("x-amazon-apigateway-policy")
    api["binaryMediaTypes"] = document.get("x-amazon-apigateway-binary-media-types") or []
    validators = {
        name: json.loads(gateway._create_request_validator(api["id"], {"name": name, **settings})[2])["id"]
        for name, settings in document.get("x-amazon-apigateway-request-validators", {}).items()
    }
    for method, operation in _operations(api["id"], document):
        name = operation.get("x-amazon-apigateway-request-validator")
        method["requestValidatorId"] = validators.get(name)
        method["requestParameters"] = {
            f"method.request.{_place(each['in'])}.{each['name']}": bool(each.get("required"))
            for each in operation.get("parameters", [])
            if each["in"] != "body"
        }


def _place(word: str) -> str:
    return "querystring" if word == "query" else word


def _operations(api_id: str, document: Document) -> Iterator[tuple[Document, Document]]:
    """Each method of the API with what the document says about it."""
    resources = {resource["path"]: resource for resource in gateway._resources[api_id].values()}
    for path, item in document.get("paths", {}).items():
        for verb, operation in item.items():
            if verb in _VERBS:
                yield resources[path]["resourceMethods"][verb.upper()], operation


def _numbered(api_id: str, answer: Answer) -> Answer:
    """A size that is patched to the empty string is no size; ministack keeps the string."""
    api: Document | None = gateway._rest_apis.get(api_id)
    if api is None:
        return answer
    size = api.get("minimumCompressionSize")
    api["minimumCompressionSize"] = int(size) if size not in (None, "") else None
    return _answer(200, api)


# API Gateway: an API's resource policy decides about anonymous calls too (apigateway-authorization-flow)


def _heed_resource_policies() -> None:
    authorize = gateway._authorize_request_v1

    async def heeding(
        api_id: str,
        stage: str,
        method: Document,
        verb: str,
        path: str,
        resource: Document,
        headers: Mapping[str, str],
        *rest: Any,
    ) -> Any:
        *_, account, region = rest
        arn = execute_api_arn(region, account, api_id, stage, verb, path)
        if _decision(arn, headers, region) != ALLOWED:
            message = f"User: anonymous is not authorized to perform: execute-api:Invoke on resource: {arn}"
            return gateway._gw_error("ACCESS_DENIED", message), None
        return await authorize(api_id, stage, method, verb, path, resource, headers, *rest)

    gateway._authorize_request_v1 = heeding


def _decision(arn: str, headers: Mapping[str, str], region: str) -> str:
    policy = (gateway.rest_api_policy_for_arn(arn) or ("",))[0]
    if not policy or policy == "null":
        return ALLOWED
    known = {f"aws:{key}": gateway._header_ci(headers, header) for key, header in _CONDITIONS.items()}
    context = EvalContext(
        principal_arn="*",
        principal_type="Anonymous",
        principal_account="",
        action="execute-api:Invoke",
        resource_arn=arn,
        region=region,
        secure_transport=True,  # API Gateway listens on https only; the stand-in's http is its stand-in
        service_context={key: value for key, value in known.items() if value},
    )
    decision: str = evaluate_resource_policy(policy, context).decision
    return decision


#: The only condition keys that come from a header (apigateway-resource-policies-aws-condition-keys).
_CONDITIONS = {"useragent": "user-agent", "referer": "referer"}


# Lambda: a function sees the standard library and its own package, nothing else of this machine (lambda-python)


def _show_a_function_only_its_package() -> None:
    lambda_runtime._PYTHON_WORKER_SCRIPT = _ONLY_THE_STANDARD_LIBRARY + lambda_runtime._PYTHON_WORKER_SCRIPT


_ONLY_THE_STANDARD_LIBRARY = """
import sys
sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix) and not path.endswith("-packages")]
"""


# Lambda: a new function is pending for some seconds (functions-states); here it may be ready when it is looked at first


def _make_functions_ready_at_once() -> None:
    lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = 0.0
