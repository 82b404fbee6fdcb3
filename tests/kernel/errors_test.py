# SPDX-License-Identifier: Apache-2.0
"""Wrong input: each a sentence that names the place and the remedy, exit status 1 (2 for usage), and
nothing half-started."""

import json
import os
import re
import shutil
import socket
import subprocess

import pytest

import trivet_harness as harness

SHIPPED = (harness.ROOT / "config/trivet.toml").read_text()


def trivet(*arguments, program=None, prefix=()):
    return subprocess.run([*prefix, program or harness.trivet_program(), *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          timeout=60 * harness.SCALE)


def refused(done, *patterns, status=1):
    assert done.returncode == status, f"exit status {done.returncode}: {done.stderr}"
    for pattern in patterns:
        assert re.search(pattern, done.stderr), f"{pattern!r} is not in: {done.stderr}"
    assert len(done.stderr) < 4000 and "terminate called" not in done.stderr


def place(text, part, name):
    """A pattern for the line in which `part` stands, the name being the file's."""
    line = text[:text.index(part)].count("\n") + 1
    return rf"{re.escape(name)}:{line}:\d+"


# (what is replaced in the shipped configuration, by what, what the error must say)
CONFIGURATIONS = [
    ("unknown key", "log_level =", "log_levl =", ["log_levl", "log_level"]),
    ("unknown section", "[metrics]", "[metricks]", ["metricks", "metrics"]),
    ("wrong type", "log_level = \"info\"", "log_level = 7", ["log_level", "(?i)string|text"]),
    ("a word that is none of the choices", "log_level = \"info\"", "log_level = \"loud\"",
     ["loud", "debug.*info.*warning.*error"]),
    ("a number out of range", "max_series = 2000", "max_series = -1", ["max_series"]),
    ("an address that is none", "listen = \"127.0.0.1:9435\"", "listen = \"localhost\"", ["listen"]),
    ("text that is no TOML", "[records]", "[records", []),
    ("a key given twice", "log_level = \"info\"", "log_level = \"info\"\nlog_level = \"info\"", []),
    ("another schema", "schema = 1", "schema = 2", ["schema", "1"]),
    ("a plugin's key that it does not know", "[security]\n", "[security]\nrules_fils = []\n",
     ["rules_fils", "rules_files"]),
    ("a plugin that does not exist", "[security]\n", "[securty]\nenabled = true\n[security]\n",
     ["securty", "security"]),
    ("enabled that is no boolean", "[security]\nenabled = true", "[security]\nenabled = \"yes\"",
     ["enabled", "(?i)true|bool"]),
]


@pytest.mark.parametrize("old, new, says", [row[1:] for row in CONFIGURATIONS],
                         ids=[row[0].replace(" ", "_") for row in CONFIGURATIONS])
def test_a_wrong_configuration_is_refused_by_check_and_by_run(folder, old, new, says):
    assert old in SHIPPED, f"the shipped configuration no longer holds {old!r}"
    wrong = folder / "wrong.toml"
    text = harness.shipped_configuration().replace(old, new, 1)
    wrong.write_text(text)
    patterns = [place(text, new.strip("\n").split("\n")[-1], "wrong.toml")] if says else [r"wrong\.toml:\d+:\d+"]
    if new.startswith(("[security]", "[securty]")):
        patterns = [r"wrong\.toml:\d+:\d+"]
    refused(trivet("check", "-c", wrong), *patterns, *says)
    refused(trivet("run", "-c", wrong), *patterns, *says)


@pytest.mark.parametrize("user, says", [("root", "rights"), ("no-such-user", "useradd")])
def test_a_user_that_main_cannot_or_must_not_be_is_refused_at_its_place(folder, user, says):
    wrong = folder / "wrong.toml"
    wrong.write_text(harness.changed_configuration(harness.shipped_configuration(), {"daemon.user": user}))
    refused(trivet("run", "-c", wrong), place(wrong.read_text(), f'user = "{user}"', "wrong.toml"), user, says)


def test_a_schema_that_is_missing_is_asked_for(folder):
    wrong = folder / "wrong.toml"
    wrong.write_text(harness.shipped_configuration().replace("schema = 1\n", "", 1))
    refused(trivet("check", "-c", wrong), r"wrong\.toml", "schema = 1")


def test_a_configuration_that_is_not_there_or_a_folder(folder):
    refused(trivet("check", "-c", folder / "absent.toml"), r"absent\.toml", "(?i)no such file")
    refused(trivet("run", "-c", folder / "absent.toml"), r"absent\.toml", "(?i)no such file")
    refused(trivet("check", "-c", folder), re.escape(str(folder)))


def test_a_rules_file_that_is_not_there_is_named_with_the_place_that_names_it(folder):
    wrong = folder / "wrong.toml"
    wrong.write_text(harness.changed_configuration(
        harness.shipped_configuration(), {"security.rules_files": [folder / "absent.yaml"]}))
    refused(trivet("check", "-c", wrong), r"absent\.yaml", "(?i)no such file")


GOOD_RULE = """- rule: A rule
  desc: what it says
  condition: {condition}
  output: opened %fd.name
  priority: {priority}
"""
RULES = [
    ("a syntax error", GOOD_RULE.format(condition="evt.type = open and and fd.name = x", priority="INFO"),
     [r"rules\.yaml:3:\d+", "and"]),
    ("an open parenthesis", GOOD_RULE.format(condition="(evt.type = open", priority="INFO"),
     [r"rules\.yaml:3:\d+", r"\)"]),
    ("an unknown field", GOOD_RULE.format(condition="evt.type = open and fd.nmae = x", priority="INFO"),
     [r"rules\.yaml:3:\d+", r"fd\.nmae", r"fd\.name"]),
    ("a macro that does not exist", GOOD_RULE.format(condition="evt.type = open and opened_red",
                                                     priority="INFO"),
     [r"rules\.yaml:3:\d+", "opened_red"]),
    ("a list that does not exist", GOOD_RULE.format(condition="evt.type = open and proc.name in (no_such_list,"
                                                              " another) and no_macro", priority="INFO"),
     [r"rules\.yaml:3:\d+"]),
    ("a priority that is none", GOOD_RULE.format(condition="evt.type = open", priority="URGENT"),
     [r"rules\.yaml:5:\d+", "URGENT", "(?i)warning"]),
    ("a rule without a condition", "- rule: A rule\n  desc: d\n  output: o\n  priority: INFO\n",
     [r"rules\.yaml:1:\d+", "condition"]),
    ("text that is no YAML", "- rule: [unclosed\n", [r"rules\.yaml:\d+:\d+"]),
    ("a list in place of rules", "a: b\n", [r"rules\.yaml:\d+:\d+"]),
    ("an unknown operator", GOOD_RULE.format(condition="evt.type resembles open", priority="INFO"),
     [r"rules\.yaml:3:\d+", "resembles"]),
]


@pytest.mark.parametrize("text, says", [row[1:] for row in RULES],
                         ids=[row[0].replace(" ", "_") for row in RULES])
def test_a_wrong_rule_is_refused(folder, text, says):
    rules = folder / "rules.yaml"
    rules.write_text(text)
    done = trivet("check", "--rules", rules)
    refused(done, *says)
    if "3:" in says[0]:  # the line itself, and a caret below the column
        assert re.search(r"^ +3 \|   condition: .*\n +\| +\^$", done.stderr, re.M), done.stderr


def test_rules_fields_and_events_are_told_without_a_daemon(folder):
    rules = folder / "rules.yaml"
    rules.write_text(GOOD_RULE.format(condition="evt.type in (open, stat)", priority="INFO") +
                     GOOD_RULE.format(condition="evt.type = stat", priority="INFO").replace("A rule", "Another"))
    listed = json.loads(trivet("rules", "ls", "--rules", rules, "-o", "json").stdout)
    assert [(rule["name"], rule["state"]) for rule in listed] == [("A rule", "loaded"), ("Another", "skipped")]
    shown = trivet("rules", "show", "--rules", rules, "A rule").stdout
    assert "events: open\n" in shown and "does not see events of type stat yet" in shown
    refused(trivet("rules", "show", "--rules", rules, "A rul"), "A rul", "A rule")
    fields = json.loads(trivet("rules", "fields", "-o", "json").stdout)
    assert {"name": "fd.num", "type": "number"}.items() <= next(
        field for field in fields["fields"] if field["name"] == "fd.num").items()
    events = {event["type"]: event["seen"] for event in json.loads(trivet("rules", "events", "-o", "json").stdout)}
    assert events["openat"] and not events["stat"]


def test_good_rules_pass(folder):
    rules = folder / "rules.yaml"
    rules.write_text(GOOD_RULE.format(condition="evt.type = open and fd.name = x", priority="INFO"))
    assert trivet("check", "--rules", rules).returncode == 0
    assert trivet("check", "--rules", harness.OWN_RULES).returncode == 0


@pytest.mark.skipif(not harness.FALCO_RULES.exists(), reason="Falco's rules do not lie beside this checkout")
def test_a_rule_of_falcos_that_cannot_run_yet_is_named_with_its_reason():
    done = trivet("check", "--rules", harness.FALCO_RULES)
    assert done.returncode == 0, done.stderr
    for name in ("Read sensitive file untrusted", "Clear Log Activities", "Run shell untrusted"):
        assert not re.search(rf"{name}.*(?i:skipped)", done.stdout + done.stderr)


POLICY = """schema = 1
[defaults]
egress = "allow"
[[rule]]
name = "no metadata service"
direction = "egress"
verdict = "deny"
peer = ["169.254.169.254/32"]
l4 = ["tcp/80"]
"""
POLICIES = [
    ("a bad CIDR", "169.254.169.254/32", "169.254.169.254/33", [r"policy\.toml:8:\d+", "169.254.169.254/33", "32"]),
    ("an address that is none", "169.254.169.254/32", "169.254.169.256", [r"policy\.toml:8:\d+",
                                                                         "169.254.169.256"]),
    ("a bad port", "tcp/80", "tcp/65536", [r"policy\.toml:9:\d+", "65536", "65535"]),
    ("an unknown protocol", "tcp/80", "tpc/80", [r"policy\.toml:9:\d+", "tpc", "tcp"]),
    ("an unknown verdict", '"deny"', '"refuse"', [r"policy\.toml:7:\d+", "refuse", "deny"]),
    ("an unknown key", "peer =", "peers =", [r"policy\.toml:8:\d+", "peers", "peer"]),
    ("an unknown direction", '"egress"\nverdict', '"out"\nverdict', [r"policy\.toml:6:\d+", "egress"]),
    ("no schema", "schema = 1\n", "", [r"policy\.toml", "schema = 1"]),
]


@pytest.mark.parametrize("old, new, says", [row[1:] for row in POLICIES],
                         ids=[row[0].replace(" ", "_") for row in POLICIES])
def test_a_wrong_policy_is_refused(folder, old, new, says):
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    assert trivet("check", "--policy", policy).returncode == 0
    assert old in POLICY
    policy.write_text(POLICY.replace(old, new))
    refused(trivet("check", "--policy", policy), *says)


def test_usage_errors_exit_with_2():
    refused(trivet("observe"), "alerts", status=2)
    refused(trivet("observ", "alerts"), "observe", status=2)
    refused(trivet("run", "--colour-of-socks"), "colour-of-socks", status=2)
    refused(trivet(), status=2)


def test_help_is_no_error_and_goes_to_standard_output():
    for verb in ("run", "check", "doctor", "observe", "status", "reload", "version"):
        done = trivet(verb, "--help")
        assert done.returncode == 0 and verb in done.stdout and done.stderr == "", verb


def test_a_client_without_a_daemon_says_so(folder):
    refused(trivet("status", "--socket", folder / "none.sock"), r"none\.sock", "trivet run|running")


def test_an_unknown_table_is_answered_with_those_that_exist(start):
    daemon = start()
    refused(daemon.call("observe", "alrets", check=False), "alrets", "alerts")


def test_a_metrics_port_in_use_is_named(start, folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wrong = folder / "wrong.toml"
        wrong.write_text(harness.changed_configuration(harness.shipped_configuration(), {
            "metrics.listen": f"127.0.0.1:{port}", "control.socket": folder / "t.sock"}))
        refused(trivet("run", "-c", wrong), str(port), "(?i)in use")
    assert not (folder / "t.sock").exists()


ORDINARY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")


def test_run_without_root_says_so(installed, folder):
    config = folder / "good.toml"
    config.write_text(harness.shipped_configuration())
    refused(trivet("run", "-c", config, program=installed[0], prefix=ORDINARY), "root|sudo")


def test_check_needs_no_root(installed, folder):
    shutil.copytree(harness.ROOT / "config", folder / "config")
    done = trivet("check", "-c", folder / "config/trivet.toml", program=installed[0], prefix=ORDINARY)
    assert done.returncode == 0, done.stderr


def test_a_kernel_without_btf_is_named(folder):
    config = folder / "good.toml"
    config.write_text(harness.changed_configuration(
        harness.shipped_configuration(), {"control.socket": folder / "t.sock"}))
    hidden = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh")
    refused(trivet("run", "-c", config, prefix=hidden), "BTF|btf")


def plugin_is_refused(installed, folder, *patterns):
    """The plugin is refused in words, and since it is required nothing starts without it."""
    config = folder / "good.toml"
    config.write_text(harness.changed_configuration(harness.shipped_configuration(), {
        "control.socket": folder / "t.sock", "metrics.listen": f"127.0.0.1:{harness.free_port()}",
        "tracing.required": True}))
    refused(trivet("run", "-c", config, program=installed[0]), *patterns)


def test_a_plugin_that_others_may_write_is_refused(installed, folder):
    (installed[1] / "tracing.so").chmod(0o777)
    plugin_is_refused(installed, folder, r"tracing\.so", "writ", "chmod")


def test_a_plugin_in_a_folder_that_others_may_write_is_refused(installed, folder):
    installed[1].chmod(0o777)
    plugin_is_refused(installed, folder, r"plugins", "writ")


def test_a_plugin_of_another_user_is_refused(installed, folder):
    os.chown(installed[1] / "tracing.so", 12345, 12345)
    plugin_is_refused(installed, folder, r"tracing\.so", "(?i)own|belong")


def test_a_plugin_built_for_another_version_is_refused(installed, folder):
    plugin, manifest = installed[1] / "tracing.so", folder / "manifest"
    subprocess.run(["objcopy", "-O", "binary", "--only-section=.trivet.plugin",
                    "--set-section-flags", ".trivet.plugin=alloc", plugin, manifest], check=True)
    text = manifest.read_text()
    assert "fingerprint=" in text
    manifest.write_text(re.sub(r"fingerprint=\w{4}", "fingerprint=0000", text))
    subprocess.run(["objcopy", "--update-section", f".trivet.plugin={manifest}", plugin], check=True)
    plugin_is_refused(installed, folder, r"tracing\.so", "another|built|rebuild")


def test_a_file_that_is_no_plugin_is_refused(installed, folder):
    (installed[1] / "tracing.so").write_bytes(b"\x7fELF" + b"\0" * 60)
    plugin_is_refused(installed, folder, r"tracing\.so")
