# SPDX-License-Identifier: Apache-2.0
"""TLS handshakes between real programs: what openssl s_client prints is what the table says."""

import hashlib
import re
import signal
import subprocess
import time

import pytest

import trivet_harness as harness


@pytest.fixture
def server(folder):
    """openssl s_server on a free port."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem",
                    "-subj", "/C=DE/O=Füll & Söhne, Test/CN=web.test", "-utf8", "-days", "1", "-addext",
                    "subjectAltName=DNS:web.test,DNS:*.web.test,IP:127.0.0.1,IP:::1,email:a@web.test"], check=True, capture_output=True)
    port = harness.free_port()
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-key", folder / "key.pem", "-cert",
         folder / "certificate.pem", "-alpn", "h2,http/1.1", "-quiet", "-www"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    harness.wait_until(lambda: "Cipher is" in ask(port, "first.test"), 10, "s_server listens")
    yield port
    harness.end_process(process)


@pytest.fixture
def capture(folder, server):
    """What tshark reads of the handshakes with the server, once capture() is called."""
    path = folder / "handshakes.pcap"
    tshark = subprocess.Popen(["tshark", "-q", "-i", "lo", "-f", f"tcp port {server}", "-w", path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True)
    for line in tshark.stderr:
        if "Capture started" in line or "Capturing on" in line:
            break
    # It says so a little before the first packet is taken.
    harness.wait_until(lambda: ask(server, "probe") and path.exists() and path.stat().st_size > 1000,
                       15, "tshark captures")

    def read(*fields):
        time.sleep(2 * harness.SCALE)  # what was captured is written about once a second
        harness.end_process(tshark, signal.SIGINT)
        done = subprocess.run(
            ["tshark", "-r", path, "-d", f"tcp.port=={server},tls", "-Y", "tls.handshake.type == 1",
             "-T", "fields", "-E", "separator=|", *[w for field in fields for w in ("-e", field)]],
            check=True, capture_output=True, text=True)
        return [line.split("|") for line in done.stdout.splitlines()]

    yield read
    harness.end_process(tshark)


def ask(port, name, *more):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, *more],
        check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30).stdout


def test_a_handshake_is_a_record_at_each_end(start, server):
    tracing = start(plugins=["tracing"])
    newer = ask(server, "newer.test", "-tls1_3", "-alpn", "h2")
    older = ask(server, "older.test", "-tls1_2", "-alpn", "http/1.1,h2", "-cipher",
                "ECDHE-ECDSA-AES128-GCM-SHA256")
    again = ask(server, "again.test", "-tls1_3", "-groups", "P-521:X25519")
    refused = ask(server, "refused.test", "-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256")
    assert re.search(r"New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384", newer)
    assert re.search(r"New, TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256", older)
    assert "ALPN protocol: h2" in older
    assert "Cipher is (NONE)" in refused
    assert "TLSv1.3" in again
    rows = tracing.requests("tls_handshakes", server, "server_name LIKE '%.test'", 4)
    for role in ("client", "server"):
        told = {row["server_name"]: row for row in rows[role]}
        assert len(rows[role]) == 4
        assert (told["newer.test"]["version"], told["newer.test"]["cipher"]) == (
            "1.3", "TLS_AES_256_GCM_SHA384")
        assert told["newer.test"]["alpn_offered"] == ["h2"]
        assert (told["older.test"]["version"], told["older.test"]["cipher"]) == (
            "1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256")
        assert told["older.test"]["alpn"] == "h2"
        assert told["older.test"]["versions_offered"] == ["1.2"]
        assert told["refused.test"]["alert"] == "handshake_failure"
        assert {row["process"] for row in rows[role]} == {"openssl"}
        assert {row["error"] for row in rows[role]} == {""}


def ja4(version, versions, name, ciphers, extensions, alpn, algorithms):
    """FoxIO's rules once more, from the fields that tshark reads."""
    def numbers(text):
        listed = [int(number, 0) for number in text.split(",") if number]
        return [n for n in listed if n & 0x0F0F != 0x0A0A or n >> 8 != n & 0xFF]

    def hashed(text):
        return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "0" * 12

    def hexed(values):
        return ",".join(f"{value:04x}" for value in values)

    newest = max(numbers(versions) or numbers(version))
    suites, types, first = numbers(ciphers), numbers(extensions), alpn.split(",")[0]
    head = "t" + {0x304: "13", 0x303: "12", 0x302: "11", 0x301: "10"}[newest] + ("d" if name else "i")
    head += f"{len(suites):02}{len(types):02}" + (first[0] + first[-1] if first else "00")
    rest = "_".join(filter(None, [hexed(sorted(t for t in types if t not in (0, 16))),
                                  hexed(numbers(algorithms))]))
    return "_".join([head, hashed(hexed(sorted(suites))), hashed(rest)])


def test_ja4_is_what_follows_from_the_fields_that_tshark_reads(start, server, capture):
    tracing = start(plugins=["tracing"])
    for i, arguments in enumerate((["-tls1_3", "-alpn", "h2"], ["-tls1_2"], ["-alpn", "http/1.1,h2"],
                                   ["-cipher", "ECDHE+AESGCM", "-sigalgs", "ECDSA+SHA256:RSA-PSS+SHA256"],
                                   ["-groups", "P-256"])):
        ask(server, f"ja4-{i}.test", *arguments)
    subprocess.run(["curl", "-sk", "--http1.1", "-m", "10", "-o", "/dev/null", "--resolve", f"ja4-curl.test:{server}:127.0.0.1",
                    f"https://ja4-curl.test:{server}/"], check=False)
    rows = tracing.requests("tls_handshakes", server, "server_name LIKE 'ja4-%'", 6)
    hellos = capture("tls.handshake.version", "tls.handshake.extensions.supported_version",
                     "tls.handshake.extensions_server_name", "tls.handshake.ciphersuite",
                     "tls.handshake.extension.type", "tls.handshake.extensions_alpn_str",
                     "tls.handshake.sig_hash_alg")
    expected = {hello[2]: ja4(*hello) for hello in hellos if hello[2].startswith("ja4-")}
    assert len(expected) == 6
    for role in ("client", "server"):
        assert {r["server_name"]: r["ja4"] for r in rows[role]
                if r["server_name"].startswith("ja4-")} == expected


def test_the_certificate_is_what_openssl_prints_where_it_is_visible(start, server, folder):
    tracing = start(plugins=["tracing"])
    ask(server, "seen.test", "-tls1_2")
    ask(server, "hidden.test", "-tls1_3")

    def printed(*what):
        return subprocess.run(["openssl", "x509", "-in", folder / "certificate.pem", "-noout", *what],
                              check=True, capture_output=True, text=True).stdout.strip()

    rows = tracing.requests("tls_handshakes", server, "server_name IN ('seen.test', 'hidden.test')", 2)
    for role in ("client", "server"):
        told = {row["server_name"]: row for row in rows[role]}
        seen, hidden = told["seen.test"], told["hidden.test"]
        for part in ("subject", "issuer"):
            assert f"{part}=" + seen[f"certificate_{part}"] == printed(
                f"-{part}", "-nameopt", "RFC2253,-esc_msb")
        assert seen["certificate_names"] == ["web.test", "*.web.test", "127.0.0.1", "::1", "a@web.test"]
        for part, option in (("not_before", "-startdate"), ("not_after", "-enddate")):
            shown = printed(option, "-dateopt", "iso_8601").partition("=")[2]
            assert seen[f"certificate_{part}"] == shown.replace(" ", "T")
        assert (hidden["certificate_subject"], hidden["certificate_names"]) == ("", [])
        assert (seen["error"], hidden["error"]) == ("", "")
