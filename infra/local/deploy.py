"""Deploys infra/template.yaml to the local cloud, as `sam deploy` does to AWS.

Usage: deploy.py --endpoint URL --account ID --bin DIR --zips DIR [--stack NAME] [--parameter NAME=VALUE …]
       deploy.py --render DIR

Prints the stack's outputs as JSON on standard output. The second form writes
release.asl.json, the definition with its substitutions, template.json, and
release.mmd, a picture of the machine, for validators, tests and the README.
"""

import argparse
import json
import os
import platform
import re
import sys
import zipfile
from pathlib import Path

import yaml

INFRA = Path(__file__).resolve().parent.parent
FUNCTIONS = ["webhook", "plan", "dispatch", "poll", "collect", "publish", "settle"]


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def short_form(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: value}
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {f"Fn::{suffix}": value}


Template.add_multi_constructor("!", short_form)


def definition():
    """The definition as JSON text, numeric placeholders unquoted: the local cloud
    substitutes in the text and reads JSON only."""
    states = yaml.safe_load((INFRA.parent / "statemachine/release.asl.yaml").read_text())
    text = json.dumps(states, indent=1, ensure_ascii=False)
    return re.sub(r'"(\$\{\w+Seconds\})"', r"\1", text)


def render(folder):
    """The definition as deployed, with stand-in ARNs, and the template."""
    template = yaml.load((INFRA / "template.yaml").read_text(), Template)
    defaults = {name: p.get("Default") for name, p in template["Parameters"].items()}

    def value(match):
        name = match.group(1)
        if name.endswith("Arn"):
            return f"arn:aws:lambda:us-east-1:000000000000:function:{name[:-3]}"
        return str(defaults.get(name) or name)

    states = json.loads(re.sub(r"\$\{(\w+)\}", value, definition()))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "release.asl.json").write_text(json.dumps(states, indent=1))
    (folder / "release.mmd").write_text(picture(states))
    (folder / "template.json").write_text(json.dumps(template, indent=1))


def picture(machine):
    """The machine as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]

    def arrow(indent, start, end, why=""):
        lines.append(f"{indent}{start} --> {end}" + (f": {why}" if why else ""))

    def short(error):
        return {"States.ALL": "any other error"}.get(error, error.removeprefix("States."))

    def draw(machine, indent):
        arrow(indent, "[*]", machine["StartAt"])
        for name, state in machine["States"].items():
            if "ItemProcessor" in state:
                lines.append(f"{indent}state {name} {{")
                draw(state["ItemProcessor"], indent + "  ")
                lines.append(f"{indent}}}")
            for choice in state.get("Choices", []):
                arrow(indent, name, choice["Next"], str(choice.get("StringEquals", "nothing to build")).replace("_", " "))
            if "Default" in state:
                arrow(indent, name, state["Default"], "otherwise")
            if "Next" in state:
                arrow(indent, name, state["Next"])
            for caught in state.get("Catch", []):
                why = ", ".join(short(error).split(".")[-1] for error in caught["ErrorEquals"])
                if caught["Next"] != state.get("Next"):
                    arrow(indent, name, caught["Next"], why)
            if state.get("End") or state["Type"] in ("Succeed", "Fail"):
                arrow(indent, name, "[*]")

    draw(machine, "  ")
    return "\n".join(lines) + "\n"


def zipped(binary, zips):
    """A zip that holds the binary as `bootstrap`; made anew only when it changed."""
    stat = binary.stat()
    target = zips / f"{binary.name}-{stat.st_mtime_ns}-{stat.st_size}.zip"
    if not target.exists():
        zips.mkdir(parents=True, exist_ok=True)
        for old in zips.glob(f"{binary.name}-*.zip"):
            old.unlink(missing_ok=True)
        part = target.with_suffix(f".{os.getpid()}.part")
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            info = zipfile.ZipInfo("bootstrap")
            info.external_attr = 0o755 << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, binary.read_bytes(), compresslevel=1)
        part.replace(target)
    return target


def deploy(options):
    import boto3
    from botocore.config import Config

    session = boto3.session.Session(
        aws_access_key_id=options.account, aws_secret_access_key="local", region_name="us-east-1"
    )
    config = Config(retries={"max_attempts": 1}, proxies={}, s3={"addressing_style": "path"})
    client = lambda name: session.client(name, endpoint_url=options.endpoint, config=config)
    s3, cloudformation = client("s3"), client("cloudformation")
    bucket = f"deploy-{options.account}"
    if bucket not in (there["Name"] for there in s3.list_buckets()["Buckets"]):
        s3.create_bucket(Bucket=bucket)

    template = yaml.load((INFRA / "template.yaml").read_text(), Template)
    for name in FUNCTIONS:
        path = zipped(Path(options.bin) / name, Path(options.zips))
        s3.put_object(Bucket=bucket, Key=f"{name}.zip", Body=path.read_bytes())
        function = template["Resources"][f"{name.capitalize()}Function"]
        function["Properties"]["CodeUri"] = f"s3://{bucket}/{name}.zip"
        function.pop("Metadata")
    s3.put_object(Bucket=bucket, Key="release.asl.json", Body=definition().encode())
    template["Resources"]["Release"]["Properties"]["DefinitionUri"] = f"s3://{bucket}/release.asl.json"

    parameters = dict(parameter.split("=", 1) for parameter in options.parameter)
    parameters.setdefault("TlsOnly", "false")
    if "SigningKey" not in parameters:
        key = client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
        parameters["SigningKey"] = key["KeyMetadata"]["Arn"]
    parameters.setdefault("Architecture", "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64")
    cloudformation.create_stack(
        StackName=options.stack,
        TemplateBody=json.dumps(template),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=options.stack, WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
    )
    stack = cloudformation.describe_stacks(StackName=options.stack)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    json.dump(outputs, sys.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--render", metavar="DIR")
    for name in ("endpoint", "account", "bin", "zips"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--stack", default="commons")
    parser.add_argument("--parameter", action="append", default=[])
    options = parser.parse_args()
    if options.render:
        render(options.render)
    else:
        deploy(options)


if __name__ == "__main__":
    main()
