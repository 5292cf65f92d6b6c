"""The zip holds what the functions need and nothing else; the templates around it hold everything of a stage."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from cfnlint.api import ManualArgs, lint

import app as front_door
from ops import bundle, resources
from ops.bundle import CACHE, LEFT_OUT, RUNNING, Version
from tests.deploy.conftest import MACHINE, copy_project
from tests.local.conftest import REGION, ROOT, environment

#: What Lambda takes. Source: AWS Lambda Developer Guide, "Lambda quotas", in bytes.
LARGEST_UPLOAD = 50 * 1024 * 1024
LARGEST_UNPACKED = 250 * 1024 * 1024

VERSIONS = [version for version in ((3, 11), (3, 12), (3, 13), (3, 14), (3, 15)) if bundle.interpreter(version)]
HANDLERS = ["app", *(each.name.replace("-", "_") for each in front_door.app.event_sources)]

#: Loads everything that a function may need at any time, then serves a request that needs nothing else.
EXERCISE = """
import json, sys
sys.path.insert(0, {tree!r})
sys.path[:] = [path for path in sys.path if not path.endswith(("site-packages", "dist-packages"))]
import app
handlers = {handlers!r}
assert all(callable(getattr(app, name)) for name in handlers), handlers
relay = app.relay()
parts = "conversations history fallbacks tenants secrets queues splitter providers references"
for part in parts.split():
    getattr(relay, part)
from chalicelib.channels import twilio_rest
from chalicelib.engines import responses
import openai, twilio.rest
twilio.rest.Client("AC" + 32 * "0", "x").messages
openai.OpenAI(api_key="x").responses
context = {{"path": "/api/health", "resourcePath": "/health", "httpMethod": "GET", "identity": {{}}}}
event = {{"requestContext": context, "headers": {{}}, "multiValueQueryStringParameters": None, "pathParameters": None}}
event |= {{"body": None, "stageVariables": None, "isBase64Encoded": False}}
print(json.dumps(app.app(event, None)["statusCode"]))
outside = [name for name, module in list(sys.modules.items()) if "-packages" in str(getattr(module, "__file__", ""))]
assert not outside, outside
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("project")
    copy_project(made)
    return made


@pytest.fixture(scope="module", params=VERSIONS, ids=[f"python{major}.{minor}" for major, minor in VERSIONS])
def version(request: pytest.FixtureRequest) -> Version:
    wanted: Version = request.param
    return wanted


@pytest.fixture(scope="module")
def zipped(project: Path, version: Version) -> Path:
    package = project / f"package-{version[1]}.zip"
    requirements = bundle.dependencies(ROOT / "requirements.txt", version, MACHINE, CACHE)
    bundle.pack(package, project, requirements, version)
    return package


@pytest.fixture(scope="module")
def tree(zipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    unpacked = tmp_path_factory.mktemp("task")
    with ZipFile(zipped) as packed:
        packed.extractall(unpacked)
    yield unpacked
    shutil.rmtree(unpacked)


def test_every_handler_runs_from_the_zip_alone(tree: Path, version: Version) -> None:
    program = EXERCISE.format(tree=str(tree), handlers=HANDLERS)
    clean = {"PATH": os.environ["PATH"], "AWS_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true"}
    command = [str(bundle.interpreter(version)), "-I", "-S", "-B", "-c", program]
    done = subprocess.run(command, cwd=tree, env=clean, capture_output=True, text=True, timeout=300)
    assert (done.stdout.strip(), done.returncode) == ("200", 0), done.stderr


def test_nothing_of_the_laptop_the_operator_or_the_tests_is_inside(tree: Path) -> None:
    inside = {path.name for path in tree.iterdir()}
    assert not inside & {"local", "ops", "tests", "bench", "docs", ".chalice", "build", "moto", "ministack", "pytest"}
    assert {"app.py", "chalicelib", "chalice"} <= inside


def test_what_is_left_out_is_not_there(tree: Path) -> None:
    assert list(bundle.left_out(tree)) == []
    assert LEFT_OUT


def test_every_module_of_ours_is_compiled(tree: Path) -> None:
    sources = list((tree / "chalicelib").rglob("*.py"))
    compiled = list((tree / "chalicelib").rglob("*.pyc"))
    assert len(sources) == len(compiled) > 30


def test_it_is_small_enough_for_lambda(zipped: Path, tree: Path) -> None:
    assert zipped.stat().st_size < LARGEST_UPLOAD
    assert sum(path.stat().st_size for path in tree.rglob("*") if path.is_file()) < LARGEST_UNPACKED / 2


def test_the_same_files_make_the_same_zip(project: Path, zipped: Path, version: Version) -> None:
    again = project / "again.zip"
    bundle.pack(again, project, bundle.dependencies(ROOT / "requirements.txt", version, MACHINE, CACHE), version)
    assert again.read_bytes() == zipped.read_bytes()


# Templates


def package(project: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ops", "package", "--stage", "dev", "--out", str(project / "out"), *options]
    env = environment() | {"PYTHONPATH": str(project)}
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def template(project: Path) -> dict[str, Any]:
    done = package(project)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((project / "out/sam.json").read_text())
    return found


def test_chalice_takes_the_package_that_was_built(project: Path, template: dict[str, Any]) -> None:
    with ZipFile(project / "out/deployment.zip") as packed:
        names = packed.namelist()
    assert "aiohttp/__init__.py" not in names
    assert f"__pycache__/app.cpython-3{RUNNING[1]}.pyc" in names


def test_one_template_has_no_fault_that_cfn_lint_knows(template: dict[str, Any]) -> None:
    found = lint(json.dumps(template), config=ManualArgs(regions=[REGION]))
    assert [f"{each.rule.id} {each.message}" for each in found] == []


def test_one_template_holds_the_resources_and_the_functions(template: dict[str, Any]) -> None:
    made = template["Resources"]
    assert set(resources.template()["Resources"]) < set(made)
    functions = {each["Properties"]["FunctionName"] for each in made.values() if each["Type"].endswith("::Function")}
    watched = {
        dimension["Value"]["Fn::Sub"].replace("${Stage}", "dev")
        for each in made.values()
        if each["Type"] == "AWS::CloudWatch::Alarm"
        for dimension in each["Properties"]["Dimensions"]
        if dimension["Name"] == "FunctionName"
    }
    assert functions == watched
    assert len(functions) == len(front_door.app.event_sources) + 1


def test_one_template_demands_throttles_and_logs(template: dict[str, Any]) -> None:
    api = template["Resources"]["RestAPI"]["Properties"]
    operation = api["DefinitionBody"]["paths"]["/whatsapp"]["post"]
    demanded = {each["name"] for each in operation["parameters"] if each["in"] == "header" and each["required"]}
    assert demanded == {"X-Twilio-Signature", "Content-Type"}
    assert (
        operation["x-amazon-apigateway-request-validator"]
        in api["DefinitionBody"]["x-amazon-apigateway-request-validators"]
    )
    assert operation["x-amazon-apigateway-integration"]["type"] == "aws_proxy"
    assert api["DefinitionBody"]["x-amazon-apigateway-policy"]["Statement"]
    everything = next(each for each in api["MethodSettings"] if each["ResourcePath"] == "/*")
    assert (everything["ThrottlingRateLimit"], everything["LoggingLevel"]) == (50, "OFF")
    assert "$context.status" in api["AccessLogSetting"]["Format"]


def test_a_path_parameter_is_still_told(template: dict[str, Any]) -> None:
    parameters = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["paths"]["/status/{reference}"][
        "post"
    ]
    assert {"name": "reference", "in": "path", "required": True, "type": "string"} in parameters["parameters"]


def test_whoever_takes_batches_reports_which_messages_failed(template: dict[str, Any]) -> None:
    events = [
        event["Properties"]
        for each in template["Resources"].values()
        if each["Type"] == "AWS::Serverless::Function"
        for event in each["Properties"].get("Events", {}).values()
        if event["Type"] == "SQS"
    ]
    assert len(events) == 5
    for event in events:
        assert ("FunctionResponseTypes" in event) is (event["BatchSize"] > 1)
        assert len(event["Queue"]) == 1  # a merge that leaves two keys is not valid


def test_a_function_is_made_after_its_queue(template: dict[str, Any]) -> None:
    assert template["Resources"]["Sender"]["DependsOn"] == ["SenderQueue"]


@pytest.mark.skipif(RUNNING >= (3, 12), reason="this Python has SnapStart")
def test_snapstart_is_refused_for_a_runtime_that_has_none(project: Path) -> None:
    refused = package(project, "--snap-start")
    assert refused.returncode == 1
    assert "3.12" in refused.stderr


def test_terraform_names_only_what_it_declares(project: Path, tmp_path: Path) -> None:
    done = package(project, "--format", "terraform")
    assert done.returncode == 0, done.stderr
    document = json.loads((project / "out/chalice.tf.json").read_text())
    declared = {f"{kind}.{name}" for kind, made in document["resource"].items() for name in made}
    text = json.dumps(document["resource"]) + document["locals"]["chalice_api_swagger"] + json.dumps(document["output"])
    named = set(re.findall(r"\$\{(aws_[a-z0-9_]+\.[A-Za-z0-9_-]+)", text))
    awaited = {
        each for kind in document["resource"].values() for made in kind.values() for each in made.get("depends_on", [])
    }
    assert named
    assert awaited
    assert named | awaited <= declared
    assert {each["name"] for each in document["resource"]["aws_cloudwatch_event_rule"].values()} == {
        "ai-multi-comms-dev-rescue-event",
        "ai-multi-comms-dev-reconcile-event",
    }
    assert json.loads((project / "out/resources.json").read_text()) == resources.template()
    groups = document["resource"]["aws_cloudwatch_log_group"]
    functions = document["resource"]["aws_lambda_function"]
    assert {each["name"] for each in groups.values()} == {
        f"/aws/lambda/{each['function_name']}" for each in functions.values()
    }
    assert {each["retention_in_days"] for each in groups.values()} == {14}


@pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")
def test_terraform_can_read_it(project: Path) -> None:
    done = package(project, "--format", "terraform")
    assert done.returncode == 0, done.stderr
    command = ["terraform", f"-chdir={project / 'out'}", "providers"]
    read = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert read.returncode == 0, read.stderr
    assert "hashicorp/aws] >= 5" in read.stdout
