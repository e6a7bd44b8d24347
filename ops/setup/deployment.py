"""Checks Compose, Docker and Kubernetes files as far as possible without running them; prints a line per problem.

Part of ``make check``. Schemas are in ``ops/schemas``; settings, streams and grace periods, which they do not cover,
are checked here. ``ops/not-run.md`` lists what has not been run.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema
import yaml

from ops.release import FILES, NAMED
from producer import errors as tree_of_errors
from producer.errors import SettingsError, SightlineError
from producer.keys import GROUP, Keys
from producer.settings import setting_names
from worker.settings import WorkerSettings

ROOT: Final = Path(__file__).parents[2]
SECCOMP: Final = "ops/seccomp.json"
VARIABLE: Final = re.compile(r"\$\{[A-Z_]+:-([^}]*)\}")
METRIC: Final = re.compile(r"\b(?:sightline|process)_\w+|\bup\b")
"""A metric in an expression of Prometheus."""
RUNBOOK: Final = "{{ $externalURL }}/user/runbook.html"
"""As Prometheus serves it with --web.user-assets."""
Tree = dict[str, Any]


OVERLAYS: Final = ("compose.gpu.yml", "compose.cpu.yml", "compose.builtin.yml")
SANDBOX_CALLS: Final = ["chroot", "clone", "unshare"]
"""System calls that Chromium's sandbox needs beyond the engine's default profile: all three, and no other."""


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]  # libyaml's loader is ten times as fast
    """YAML with Compose's ``!override``, which replaces an earlier file's value instead of merging with it."""


def _replaced(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else None


_Loader.add_constructor("!override", _replaced)


def load(path: Path) -> list[Tree]:
    """Return the documents of a YAML file."""
    return [tree for tree in yaml.load_all(path.read_text(), Loader=_Loader) if tree]


def schema(root: Path, name: str) -> Tree:
    """Return one of the schemas kept here."""
    return json.loads((root / "ops/schemas" / name).read_text())


def against(what: str, tree: Any, rules: Tree) -> Iterator[str]:
    """Yield the violations of the schema in ``tree``."""
    for error in jsonschema.Draft7Validator(rules).iter_errors(tree):
        yield f"{what}: {'/'.join(str(part) for part in error.absolute_path)}: {error.message[:200]}"


# ---------------------------------------------------------------------------------------------- compose


def compose(root: Path) -> Iterator[str]:
    """Yield the problems of the Compose files."""
    rules = schema(root, "compose-spec.json")
    [tree] = load(root / "docker-compose.yml")
    yield from against("docker-compose.yml", tree, rules)
    services: dict[str, Tree] = tree["services"]
    for name in OVERLAYS:
        [overlay] = load(root / "ops" / name)
        yield from against(name, overlay, rules)
        yield from (f"{name}: no service {other!r}" for other in set(overlay["services"]) - set(services))
        for what in overlay["services"].values():
            yield from environment(f"{name}: worker", what.get("environment", {}))
    made = (root / "ops/passwords.sh").read_text()
    for name, secret in tree["secrets"].items():
        if Path(secret["file"]).name.removesuffix("-password") not in made:
            yield f"docker-compose.yml: secret {name!r}: ops/passwords.sh does not write {secret['file']}"
    for name, service in services.items():
        for problem in _service(root, service, services, tree):
            yield f"docker-compose.yml: {name}: {problem}"
    worker = services["worker"]
    yield from environment("docker-compose.yml: worker", worker["environment"])
    for name in sorted(setting_names(WorkerSettings) - set(worker["environment"])):
        yield f"docker-compose.yml: worker: the setting {name} does not reach it: list it, without a value"
    yield from grace("docker-compose.yml: worker", worker["environment"], worker["stop_grace_period"])
    yield from _sandbox(root, worker)


def _sandbox(root: Path, worker: Tree) -> Iterator[str]:
    """Yield settings that disable Chromium's sandbox, or permit more than it needs."""
    if f"seccomp:./{SECCOMP}" not in worker["security_opt"]:
        yield f"docker-compose.yml: worker: without {SECCOMP} the browser has no sandbox"
    profile = json.loads((root / SECCOMP).read_text())
    ours = [rule["names"] for rule in profile["syscalls"] if "Sightline" in rule.get("comment", "")]
    if ours != [SANDBOX_CALLS]:
        yield f"{SECCOMP}: it adds {ours} to the engine's profile: expected {SANDBOX_CALLS}"


def versions(root: Path) -> Iterator[str]:
    """Yield the files that name another version than the project's."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    for name in FILES:
        found = {number for _, number in NAMED.findall((root / name).read_text())}
        if found != {version}:
            yield f"{name}: version {', '.join(sorted(found)) or 'missing'}: expected {version}, as in pyproject.toml"


def _service(root: Path, service: Tree, services: Mapping[str, Tree], tree: Tree) -> Iterator[str]:
    ports = [str(port) for port in service.get("ports", ())]
    yield from (f"port {port} is not on loopback" for port in ports if not port.startswith("127.0.0.1:"))
    if "image" in service and not re.search(r":[^-/]", service["image"]):
        yield f"image {service['image']} has no version"
    undeclared = set(service.get("secrets", ())).difference(tree["secrets"])
    yield from (f"secret {secret} is not declared" for secret in undeclared)
    words = [str(word) for word in service.get("command", ())]
    if any(word.startswith("--web.external-url=") for word in words) and "--web.route-prefix=/" not in words:
        yield "with a path in its external URL, nothing here finds it: add --web.route-prefix=/"
    yield from _waits(service.get("depends_on", {}), services)
    yield from _mounts(root, service.get("volumes", ()), tree["volumes"])


def _waits(depends_on: Mapping[str, Tree], services: Mapping[str, Tree]) -> Iterator[str]:
    for other, how in depends_on.items():
        if other not in services:
            yield f"depends on {other}, which is no service"
        elif how["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            yield f"waits for the health of {other}, which has no health check"


def _mounts(root: Path, volumes: Iterable[str], declared: Mapping[str, object]) -> Iterator[str]:
    for source in (volume.partition(":")[0] for volume in volumes):
        if source.startswith(".") and not (root / source).exists():
            yield f"mounts {source}, which is not there"
        if not source.startswith(".") and source not in declared:
            yield f"volume {source} is not declared"


def environment(what: str, given: Mapping[str, str | None]) -> Iterator[str]:
    """Yield the variables that a worker does not know or refuses."""
    known = setting_names(WorkerSettings)
    yield from (f"{what}: {name} is no setting" for name in given if name not in known)
    values = {name: VARIABLE.sub(r"\1", str(value)) for name, value in given.items() if value is not None}
    try:
        WorkerSettings.from_env({name: value for name, value in values.items() if name != "REDIS_PASSWORD_FILE"})
    except SettingsError as error:
        yield f"{what}: {error}"


def grace(what: str, given: Mapping[str, str], period: str | int) -> Iterator[str]:
    """Yield a problem for each worker that would be killed before it has requeued its jobs."""
    settings = WorkerSettings.from_env({"SHUTDOWN_GRACE_S": str(given["SHUTDOWN_GRACE_S"])})
    needed_s = settings.shutdown_grace_s + settings.lease_s
    if float(str(period).removesuffix("s")) <= needed_s:
        yield f"{what}: it is killed after {period}, and needs {needed_s:g} s (SHUTDOWN_GRACE_S and a lease)"


# ---------------------------------------------------------------------------------------------- Dockerfile


def dockerfile(root: Path) -> Iterator[str]:
    """Yield the problems of the image: copied files, user, installed packages."""
    text = re.sub(r"\\\n", " ", (root / "ops/Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    stages: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("FROM "):
            image, _, name = line.removeprefix("FROM ").partition(" AS ")
            is_stage = image in stages
            stages[name] = []
            if is_stage:
                continue
            if ":" not in image or image.endswith(":latest"):
                yield f"Dockerfile: {image} has no version"
        stages[list(stages)[-1]].append(line)
    yield from _copies(root, lines)
    yield from _build(text, lines)
    for name in ("producer", "worker"):
        users = [line.split()[1] for line in stages[name] if line.startswith("USER ")]
        if not users or not users[-1].isdecimal() or users[-1] == "0":
            yield f"Dockerfile: {name} runs as {users or 'root'}: expected a number that is not 0"
    worker = "\n".join(stages["worker"])
    if 'ENTRYPOINT ["tini"' not in worker:
        yield "Dockerfile: worker has no init: Chromium's processes would stay as zombies"
    if '"sightline", "worker", "--check"' not in worker:
        yield "Dockerfile: worker has no health check"


def _build(text: str, lines: Iterable[str]) -> Iterator[str]:
    if "# syntax=" in text:
        yield "Dockerfile: # syntax= asks a registry for a front end: a build without network fails"
    for line in lines:
        if " install --no-cache-dir" in line and "--require-hashes" not in line and "--no-deps" not in line:
            yield f"Dockerfile: an installation without hashes: {line[:80]}"


def _copies(root: Path, lines: Iterable[str]) -> Iterator[str]:
    allowed = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in lines:
        sources = line.split()[1:-1] if line.startswith("COPY ") and "--from=" not in line else ()
        for source in sources:
            if not (root / source).exists() or source not in allowed:
                yield f"Dockerfile: COPY {source}: it is not there, or .dockerignore leaves it out"


# ---------------------------------------------------------------------------------------------- Kubernetes


BACKUP = "backup.yaml"
"""Applied by itself: the kustomization does not name it."""


def kubernetes(root: Path) -> Iterator[str]:
    """Yield the problems of ``ops/k8s``; kustomize also checks it if kubectl is installed."""
    folder = root / "ops/k8s"
    [kustomization] = load(folder / "kustomization.yaml")
    missing = [name for name in kustomization["resources"] if not (folder / name).exists()]
    yield from (f"kustomization.yaml: {name} is not there" for name in missing)
    objects = [tree for name in kustomization["resources"] if name not in missing for tree in load(folder / name)]
    native, keda = schema(root, "kubernetes-1.31.json"), schema(root, "keda-2.17.json")
    for tree in [*objects, *load(folder / BACKUP)]:
        what = f"{tree['kind']} {tree['metadata']['name']}"
        if tree["kind"] in native["kinds"]:
            yield from against(
                what, tree, {"$ref": f"#/$defs/{native['kinds'][tree['kind']]}", "$defs": native["$defs"]}
            )
        elif tree["kind"] == "Service":
            yield from _leads_to_pods(tree, objects)
        elif tree["kind"] in keda:
            yield from against(what, tree, closed(keda[tree["kind"]]))
        else:
            yield f"{what}: no schema of this kind is kept"
    literals: list[str] = kustomization["configMapGenerator"][0]["literals"]
    settings = dict(literal.split("=", 1) for literal in literals)
    yield from environment("kustomization.yaml", settings)
    of_workers = (tree for tree in objects if tree["metadata"]["name"] != "sightline-web")
    by_kind: dict[str, Tree] = {tree["kind"]: tree for tree in of_workers}
    pod = by_kind["Deployment"]["spec"]["template"]
    yield from grace("Deployment", settings, pod["spec"]["terminationGracePeriodSeconds"])
    for kind, path in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        if kind not in by_kind:
            yield f"kustomization.yaml: it has no {kind}"
        elif not by_kind[kind]["spec"][path]["matchLabels"].items() <= pod["metadata"]["labels"].items():
            yield f"{kind}: it selects no worker"
    yield from _triggers(by_kind["ScaledObject"], Keys(settings["ENVIRONMENT"]))
    given = {target["parameter"] for target in by_kind["TriggerAuthentication"]["spec"]["secretTargetRef"]}
    if given != {"username", "password"}:
        yield f"TriggerAuthentication: it gives {', '.join(sorted(given))}: expected password and username"
    yield from _kustomized(folder)


def _leads_to_pods(service: Tree, objects: Iterable[Tree]) -> Iterator[str]:
    """Yield a problem for each Service that selects no pod, or names a port that its pods lack."""
    wanted: Tree = service["spec"]["selector"]
    pods = [tree["spec"]["template"] for tree in objects if tree["kind"] == "Deployment"]
    chosen = [pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]
    ports = {port["name"] for pod in chosen for one in pod["spec"]["containers"] for port in one["ports"]}
    if not {port["targetPort"] for port in service["spec"]["ports"]} <= ports:
        yield f"Service {service['metadata']['name']}: it leads to no port of a pod"


def _triggers(scaled: Tree, keys: Keys) -> Iterator[str]:
    measures = ("streamLength", "pendingEntriesCount")
    triggers = [trigger["metadata"] for trigger in scaled["spec"]["triggers"]]
    seen = {(about["stream"], name) for about in triggers for name in about if name.endswith(("Count", "Length"))}
    wanted = {(keys.lane(lane), measure) for lane in ("interactive", "batch") for measure in measures}
    yield from (f"ScaledObject: no trigger for {count} of {stream}" for stream, count in wanted - seen)
    yield from (f"ScaledObject: {stream} is no lane of ours" for stream, _ in seen - wanted)
    if {about["consumerGroup"] for about in triggers if "consumerGroup" in about} != {GROUP}:
        yield f"ScaledObject: the consumer group is {GROUP!r}"


def _kustomized(folder: Path) -> Iterator[str]:
    if shutil.which("kubectl"):
        done = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            yield f"kustomize: {done.stderr.strip()[:300]}"


def closed(rules: Tree) -> Tree:
    """Return the schema of a custom resource with unknown fields forbidden, as the API server checks it."""
    if rules.get("type") == "object" and "properties" in rules:
        inner = {name: closed(rule) for name, rule in rules["properties"].items()}
        return {**rules, "properties": inner, "additionalProperties": False}
    if rules.get("type") == "array":
        return {**rules, "items": closed(rules["items"])}
    return rules


# ---------------------------------------------------------------------------------------------- the runbook


def alerts(root: Path) -> Iterator[str]:
    """Yield the alerts without a test, a panel or a runbook entry, and the entries without an alert."""
    rules = [
        rule for tree in load(root / "ops/prometheus/alerts.yml") for group in tree["groups"] for rule in group["rules"]
    ]
    named = {rule["alert"] for rule in rules}
    [tests] = load(root / "ops/prometheus/alerts.test.yml")
    fired = {case["alertname"] for test in tests["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    entries = set(re.findall(r"^### (Sightline\w+)$", (root / "ops/runbook.md").read_text(), re.MULTILINE))
    yield from (f"alert {name}: no test makes it fire" for name in named - fired)
    yield from (f"alert {name}: ops/runbook.md has no entry '### {name}'" for name in named - entries)
    yield from (f"ops/runbook.md: {name} is no alert" for name in entries - named)
    panels = set(METRIC.findall((root / "ops/grafana/sightline.json").read_text()))
    for rule in rules:
        for metric in sorted(set(METRIC.findall(rule["expr"])) - panels):
            yield f"alert {rule['alert']}: no panel of ops/grafana/sightline.json shows {metric}"
        if rule["annotations"]["runbook_url"] != f"{RUNBOOK}#{rule['alert'].lower()}":
            yield f"alert {rule['alert']}: its runbook_url does not point at its entry"


def errors(root: Path) -> Iterator[str]:
    """Yield the errors that the runbook does not explain, and runbook rows for unknown errors."""
    kinds = {
        name: kind
        for name, kind in vars(tree_of_errors).items()
        if isinstance(kind, type) and issubclass(kind, SightlineError)
    }
    known = {name for name, kind in kinds.items() if not kind.__subclasses__()}
    rows = set(re.findall(r"^\| `(\w+)` \|", (root / "ops/runbook.md").read_text(), re.MULTILINE))
    yield from (f"ops/runbook.md: no row for the error {name}" for name in sorted(known - rows))
    yield from (f"ops/runbook.md: {name} is no error" for name in sorted(rows - kinds.keys()))


def problems(root: Path = ROOT) -> list[str]:
    """Return all of them."""
    return [problem for check in (compose, versions, dockerfile, kubernetes, alerts, errors) for problem in check(root)]


def main() -> int:
    """Print the problems; the exit code is 1 if there are any."""
    found = problems()
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
