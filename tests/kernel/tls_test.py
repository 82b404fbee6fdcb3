# SPDX-License-Identifier: Apache-2.0
"""TLS handshakes between real programs: what openssl s_client prints is what the table says."""

import re
import subprocess

import pytest

import trivet_harness as harness


@pytest.fixture
def server(folder):
    """openssl s_server on a free port."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-keyout", folder / "key.pem", "-out", folder / "certificate.pem",
                    "-subj", "/CN=web.test", "-days", "1"], check=True, capture_output=True)
    port = harness.free_port()
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-key", folder / "key.pem", "-cert",
         folder / "certificate.pem", "-alpn", "h2,http/1.1", "-quiet", "-www"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    harness.wait_until(lambda: "Cipher is" in ask(port, "first.test"), 10, "s_server listens")
    yield port
    harness.end_process(process)


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
