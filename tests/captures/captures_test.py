# SPDX-License-Identifier: Apache-2.0
"""Captures of real traffic: what tshark reads in them is what the records say."""

import collections
import json
import os
import pathlib
import shutil
import subprocess

import pytest

FOLDER = pathlib.Path(os.environ.get("TRIVET_CAPTURES",
                                     pathlib.Path(__file__).resolve().parents[3] / "shared/data/captures"))


def captures(*names):
    return [pytest.param(path, id=path.name) for name in names for path in sorted(FOLDER.glob(name))]


@pytest.fixture(autouse=True)
def needed():
    if not FOLDER.is_dir():
        pytest.skip(f"there are no captures in {FOLDER}")
    if shutil.which("tshark") is None:
        pytest.skip("tshark is not installed")


def tshark(path, condition, *fields):
    """The fields of each frame that meets the condition; values that occur more than once are lists."""
    done = subprocess.run(
        ["tshark", "-r", str(path), "-Y", condition, "-T", "fields", "-E", "occurrence=a",
         "-E", "aggregator=\x1f", *[word for field in fields for word in ("-e", field)]],
        check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or "cut short" in done.stderr, done.stderr
    return [[value.split("\x1f") if value else [] for value in line.split("\t")]
            for line in done.stdout.splitlines()]


def replay(path):
    """The records of a capture by table, in order."""
    lines, clients = [], {}
    frames = tshark(path, "(tcp or udp) and not icmp and not icmpv6", "tcp.stream", "udp.stream",
                    "ip.src", "ipv6.src", "tcp.srcport", "udp.srcport", "tcp.seq_raw", "tcp.ack_raw",
                    "tcp.flags.fin", "tcp.flags.syn", "tcp.flags.ack", "tcp.flags.reset",
                    "tcp.payload", "udp.payload", "frame.time_epoch")
    for (tcp, udp, source4, source6, tcp_port, udp_port, sequence, ack, fin, syn, acked, reset,
         tcp_bytes, udp_bytes, time) in frames:
        stream = ("tcp", int(tcp[0])) if tcp else ("udp", int(udp[0]))
        sender = ((source4 or source6)[-1], (tcp_port or udp_port)[0])
        if syn and syn[0] in ("1", "True"):
            clients[stream] = sender if acked[0] in ("0", "False") else clients.get(stream)
            continue
        from_client = clients.setdefault(stream, sender) == sender
        if reset and reset[0] in ("1", "True"):
            continue
        payload = (tcp_bytes or udp_bytes or [""])[0]
        seconds, _, fraction = time[0].partition(".")
        nanoseconds = int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
        lines.append(f"{stream[1]} {stream[0]} {int(from_client)} {(sequence or ['0'])[0]} "
                     f"{(ack or ['0'])[0]} {int(bool(fin) and fin[0] in ('1', 'True'))} {nanoseconds} "
                     f"{payload}\n")
    done = subprocess.run([os.environ["TRIVET_REPLAY"]], input="".join(lines), check=True,
                          capture_output=True, text=True, timeout=120)
    tables = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        row = json.loads(line)
        table = ("mysql" if "sqlstate" in row else "redis" if "command" in row else "postgresql" if "command_tag" in row else
                 "dns" if "question_name" in row else "tls" if "cipher" in row else "http")
        tables[table].append(row)
    return tables


@pytest.mark.parametrize("path", captures(
    "postgresql-psql-login*.pcap", "postgresql-psql-*drop*.pcap", "postgresql-psql-aws-ssl-disable.pcap",
    "postgresql-psql-aws-ssl-require.pcap", "postgresql-greenhouse-app.pcap"))
def test_postgresql_says_what_tshark_reads(path):
    rows = replay(path)["postgresql"]
    clear = "pgsql and not tls"
    asked = [query for frame in tshark(path, clear, "pgsql.query") for query in frame[0]]
    told = [row["query"] for row in rows if row["operation"] not in ("CONNECT", "CANCEL")]
    # tshark cuts long texts.
    assert sorted(query.strip()[:200] for query in told if query) == sorted(
        query.replace("\\n", "\n").strip()[:200] for query in asked)
    codes = [code for frame in tshark(path, clear + " and pgsql.severity == \"ERROR\" or "
                                      "pgsql.severity == \"FATAL\"", "pgsql.code") for code in frame[0]]
    assert sorted(row["status"] for row in rows if row["status"]) == sorted(codes)
    tags = [tag for frame in tshark(path, clear, "pgsql.tag") for tag in frame[0]]
    assert sorted(row["command_tag"] for row in rows if row["command_tag"]) == sorted(tags)


@pytest.mark.parametrize("path", captures("mysql-*.pcap*", "postgresql-mysql-on-port-5432.pcap"))
def test_mysql_says_what_tshark_reads(path):
    rows = replay(path)["mysql"]
    port = tshark(path, "tcp.flags.syn == 1 and tcp.flags.ack == 0", "tcp.dstport")[0][0][0]
    clear = "mysql and not tls"

    def read(condition, field):
        done = subprocess.run(
            ["tshark", "-r", str(path), "-d", f"tcp.port=={port},mysql", "-Y", condition, "-T", "fields",
             "-E", "occurrence=a", "-E", "aggregator=\x1f", "-e", field],
            check=True, capture_output=True, text=True, timeout=120)
        return [value for line in done.stdout.splitlines() if line for value in line.split("\x1f")]

    # What a client sends within a login is no command.
    commands = [int(command) for command in read(f"{clear} and mysql.packet_number == 0", "mysql.command")]
    assert [row["command"] for row in rows if row["command"] is not None] == commands
    asked = [query.replace("\\n", "\n").replace("\\t", "\t") for query in read(clear, "mysql.query")]
    told = [row["query"] for row in rows if row["command"] in (3, 22)]
    # tshark 4.0 does not read what stands behind attributes of these types.
    assert told == (["SELECT version()"] if "query-attributes" in path.name else asked)
    assert [row["status"] for row in rows if row["status"]] == read(clear, "mysql.error_code")
    assert {row["user"] for row in rows} == set(read(clear, "mysql.user"))
    assert not [row for row in rows if row["error"] not in ("", "closed")]


@pytest.mark.parametrize("path", captures(
    "redis-[a-r]*.pcap*", "redis-stream.pcap"))
def test_redis_has_as_many_commands_as_tshark_reads(path):
    rows = [row for row in replay(path)["redis"] if row["command"] != "PUSH"]
    # Arrays that the client sends: each is a command, none is within another.
    asked = sum(len(frame[0]) for frame in tshark(path, "tcp.dstport == 6379", "resp.array.length"))
    assert len(rows) >= asked
    assert not [row for row in rows if row["error"] not in ("", "closed")]


@pytest.mark.parametrize("path", captures(
    "tls-chrome*", "tls-dhe.pcap", "tls-ecdsa-cert.pcap", "tls-hrr.pcap", "tls-openjdk*", "tls-ocsp-stapling*",
    "tls-tls12-decryption.pcap", "tls-tls1_1.pcap", "tls-tls13draft23*", "tls-tls-1.2-handshake-failure.pcap",
    "tls-tls-1.2-stream-keylog.pcap", "tls-client-certificate.pcap", "postgresql-psql-aws-ssl-require.pcap"))
def test_tls_says_what_tshark_reads(path):
    rows = replay(path)["tls"]
    names = [frame[0][0] for frame in
             tshark(path, "tls.handshake.type == 1", "tls.handshake.extensions_server_name") if frame[0]]
    assert {row["server_name"] for row in rows if row["server_name"]} == set(names)
    hellos = tshark(path, "tls.handshake.type == 2", "tcp.stream")
    assert len({frame[0][0] for frame in hellos}) == len([row for row in rows if row["version"]])


@pytest.mark.parametrize("path", captures("dns*.pcap"))
def test_dns_says_what_tshark_reads(path):
    rows = replay(path)["dns"]
    sound = "dns and not _ws.malformed and not icmp and dns.count.queries == 1 and not mdns and not llmnr"
    asked = collections.Counter(
        (int(frame[0][0], 16), int(frame[1][0])) for frame in
        tshark(path, sound + " and dns.flags.response == 0", "dns.id", "dns.qry.type"))
    told = collections.Counter((row["id"], type_number(row["question_type"])) for row in rows)
    # One that is sent again is one record.
    assert set(asked) <= set(told), path
    answered = {(int(frame[0][0], 16), int(frame[1][0])) for frame in
                tshark(path, sound + " and dns.flags.response == 1", "dns.id", "dns.flags.rcode")}
    codes = {"NOERROR": 0, "FORMERR": 1, "SERVFAIL": 2, "NXDOMAIN": 3, "NOTIMP": 4, "REFUSED": 5}
    for row in rows:
        if row["response_code"] in codes and not row["error"]:
            assert any(id_ == row["id"] for id_, _ in answered) or not answered, row
            assert (row["id"], codes[row["response_code"]]) in answered or not answered, row


def type_number(name):
    names = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "HINFO": 13, "MX": 15, "TXT": 16,
             "SIG": 24, "KEY": 25, "AAAA": 28, "LOC": 29, "SRV": 33, "NAPTR": 35, "DNAME": 39, "DS": 43,
             "SSHFP": 44, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "NSEC3": 50, "TLSA": 52, "SVCB": 64,
             "HTTPS": 65, "SPF": 99, "IXFR": 251, "AXFR": 252, "ANY": 255, "CAA": 257}
    return names[name] if name in names else int(name.removeprefix("TYPE"))


@pytest.mark.parametrize("path", captures(
    "http-pipelined-requests.pcap", "http-post.pcap", "http-get-gzip.pcap",
    "http-byteranges.pcap", "http-m57-long-49600-80.pcap", "http-get-without-fins.pcap",
    "http-http-lower-case-nonstandard-port.pcap", "http-vlan-0.pcap", "http-qinq-0.pcap",
    "http-testmyids.pcap", "http-x-gzip.pcap"))
def test_http_says_what_tshark_reads(path):
    rows = replay(path)["http"]
    asked = [pair for frame in
             tshark(path, "http.request", "http.request.method", "http.request.uri")
             for pair in zip(*frame)]
    told = [(row["method"], row["path"] + (f"?{row['query']}" if row["query"] else "")) for row in rows]
    assert sorted(told) == sorted(asked)
    codes = collections.Counter(int(code) for frame in
                                tshark(path, "http.response", "http.response.code")
                                for code in frame[0] if int(code) >= 200)
    assert collections.Counter(row["status"] for row in rows if row["status"]) == codes
