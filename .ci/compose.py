"""compose.py FILE: checks a compose file without Docker."""

import re
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as file:
    compose = yaml.safe_load(file)

services = compose["services"]
faults = []
for name, service in services.items():
    if "image" not in service and "build" not in service:
        faults.append(f"{name}: neither image nor build")
    if ":" not in service.get("image", "a:b"):
        faults.append(f"{name}: the image has no version")
    for other, condition in service.get("depends_on", {}).items():
        if other not in services:
            faults.append(f"{name} depends on {other}, which is not here")
        elif condition["condition"] == "service_healthy" and "healthcheck" not in services[other]:
            faults.append(f"{name} waits for the health of {other}, which has no check")
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if re.fullmatch(r"[\w-]+", source) and source not in compose.get("volumes", {}):
            faults.append(f"{name}: the volume {source} is not declared")
if faults:
    sys.exit("\n".join(faults))
print(f"{sys.argv[1]}: {', '.join(services)}")
