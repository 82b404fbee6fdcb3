# SPDX-License-Identifier: Apache-2.0
"""One alert, one request in both roles and one flow, on the kernel that runs this. As root."""

import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "kernel"))
import host_snapshot  # noqa: E402
import trivet_harness as harness  # noqa: E402


def see_an_alert(trivet):
    alerts = trivet.follow("alerts")
    subprocess.run(["sh", "-c", "cat /etc/shadow; true"], stdout=subprocess.DEVNULL, check=True)
    alert = alerts.wait(lambda a: a["process"] == "cat" and a["output_fields"]["fd.name"] == "/etc/shadow")
    assert alert["rule"] == "Password file read by an unexpected program", alert
    return alert["output"]


def see_a_request_and_a_flow(trivet, nginx):
    requests, flows = trivet.follow("requests"), trivet.follow("flows")
    curl = subprocess.Popen(["curl", "-sS", "-o", "/dev/null", f"{nginx.url}/missing/page?q=1"])
    assert curl.wait() == 0
    for role, process in (("client", "curl"), ("server", "nginx")):
        row = requests.wait(lambda r: r["role"] == role and r.get("path") == "/missing/page",
                            what=f"the {role}'s row")
        assert (row["method"], row["status"], row["query"], row["process"]) == (
            "GET", 404, "q=1", process), row
    flow = flows.wait(lambda f: f["pid"] == curl.pid and f["peer_port"] == nginx.port, seconds=10)
    assert (flow["protocol"], flow["direction"], flow["verdict"]) == ("tcp", "egress", "FORWARDED"), flow
    return f"{row['method']} {row['path']} {row['status']}", f"{flow['process']} -> {flow['peer_port']}"


def main():
    before = host_snapshot.take()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="trivet-test-", dir="/run"))
    folder.chmod(0o755)
    (folder / "daemon").mkdir()
    trivet = harness.Trivet(folder / "daemon")
    nginx = harness.Nginx(folder)
    try:
        trivet.start()
        doctor = subprocess.run([harness.trivet_program(), "doctor", "-c", str(trivet.config)],
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
        print(doctor.stdout)
        print("alert:", see_an_alert(trivet))
        print("request and flow:", *see_a_request_and_a_flow(trivet, nginx))
        trivet.close()
    except BaseException:
        print(trivet.log(), file=sys.stderr)
        trivet.kill()
        raise
    finally:
        nginx.close()
        shutil.rmtree(folder)
    host_snapshot.assert_as_before(before, 10 * harness.SCALE)
    print("all seen, nothing left behind")


if __name__ == "__main__":
    main()
