// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <algorithm>

namespace trivet {
namespace {

constexpr std::string_view kUsualExit =
    "0  success\n1  failure; a sentence on standard error says why and what to do\n"
    "2  wrong usage\n";

const std::vector<HelpPage> kPages = {
    {"", "see and guard a Linux server from its kernel",
     "COMMAND [OPTION...]\ntrivet NOUN VERB [ARGUMENT...]",
     "trivet watches one host through eBPF. Three plugins share what it sees: security\n"
     "judges events by rules in Falco's language and raises alerts, tracing turns\n"
     "traffic into requests, network enforces policy and counts flows.\n"
     "\n"
     "run      watch this host until stopped\n"
     "check    validate the configuration, rules and policies, without root\n"
     "doctor   say what this host lacks and which hooks would be used\n"
     "status   say how the running trivet fares\n"
     "observe  print alerts, requests or flows of the running trivet\n"
     "query    ask records and processes in SQL\n"
     "rules    list and explain rules, fields and events, without root\n"
     "capture  record what this host does, and run plugins over it again without root\n"
     "plugin   list the plugins of the running trivet\n"
     "policy   show and change the network policy in force\n"
     "reload   have the running trivet read its configuration again\n"
     "version  print the version\n"
     "help     print this page or that of a command\n"
     "\n"
     "NOUN VERB is for the verbs that plugins add to the running trivet; \"trivet status\"\n"
     "lists them. Each command explains itself with --help.\n",
     "",
     "sudo trivet run -c /etc/trivet/trivet.toml\n"
     "        Watch this host.\n"
     "sudo trivet observe alerts -f\n"
     "        Print alerts as they come.\n"},
    {"run", "watch this host until stopped", "run [-c FILE] [--plugins FOLDER] [-q]",
     "Reads the configuration, loads the enabled plugins, attaches to the kernel and\n"
     "works until SIGTERM or SIGINT. Nothing stays behind in the kernel afterwards.\n"
     "On a terminal it prints records as they come, one line each. Logs go to standard\n"
     "error.\n"
     "\n"
     "Needs root and a kernel with BTF (/sys/kernel/btf/vmlinux). One small process, the\n"
     "broker, stays root and talks to the kernel; everything else runs as the user that\n"
     "daemon.user names, without capabilities.\n"
     "\n"
     "SIGHUP, like \"trivet reload\", reads the configuration again.\n",
     "0  stopped by SIGTERM or SIGINT\n"
     "1  could not start; a sentence on standard error says why and what to do\n"
     "2  wrong usage\n",
     "sudo trivet run -c config/trivet.toml\n"
     "        Watch this host with the shipped configuration.\n"},
    {"check", "validate the configuration, rules and policies",
     "check [-c FILE] [--rules FILE...] [--policy FILE...]",
     "Reads what it is given exactly as \"trivet run\" would and reports the first error of\n"
     "each plugin with file, line and column. Rules that this version cannot judge are\n"
     "named with the reason. Changes nothing and needs no root.\n"
     "\n"
     "With --rules or --policy and without -c, only those files are checked.\n",
     "0  all is valid\n1  something is not; each error is a line on standard error\n"
     "2  wrong usage\n",
     "trivet check -c /etc/trivet/trivet.toml\n"
     "        Check before a reload.\n"
     "trivet check --rules falco_rules.yaml my_rules.yaml\n"
     "        Check rule files alone.\n"},
    {"doctor", "say what this host lacks and which hooks it offers", "doctor [-c FILE] [-o FORMAT]",
     "Says what this host offers: kernel, capabilities, lockdown, cgroups. Then tries every hook\n"
     "that the enabled plugins use: each tier, best first, is loaded, attached for a moment and\n"
     "made to fire. Prints for each hook the tier that would be used, and why better ones were\n"
     "refused. Without root it says what can be told without trying.\n",
     "0  every required hook works\n1  one does not, or the kernel cannot be asked\n"
     "2  wrong usage\n",
     "sudo trivet doctor\n"
     "        Find out why a plugin does not start.\n"},
    {"status", "say how the running trivet fares", "status [-s SOCKET] [-o FORMAT]",
     "Prints version, plugins, hooks with their tiers, tables, outputs, losses and the verbs\n"
     "that plugins added.\n",
     "", "sudo trivet status -o json\n        The same for a program.\n"},
    {"observe", "print records of the running trivet",
     "observe alerts|requests|flows|TABLE [-f] [-n N] [-o FORMAT] [-s SOCKET]",
     "Prints the newest records of a table, oldest first, and with -f goes on with new\n"
     "ones until interrupted. \"requests\" stands for the requests of every protocol.\n"
     "\n"
     "Formats: compact is one aligned line for each record; json is one object with every\n"
     "column, one for each line; falco and text print alerts as Falco does, hubble prints\n"
     "flows as \"hubble observe -o jsonpb\" does.\n"
     "\n"
     "Tests of columns choose records: an option given twice holds for either value, all\n"
     "else must hold together, and --not reverses the test behind it. Text may have * and ?,\n"
     "numbers and durations may be ranges (400-499, 500-, 20ms-), addresses networks.\n"
     "\n"
     "A reader that is too slow loses the oldest records that wait for it: their number\n"
     "is told on standard error.\n",
     "",
     "sudo trivet observe alerts -f\n"
     "        Print alerts as they come.\n"
     "sudo trivet observe requests -n 1000 -o json | jq 'select(.status >= 500)'\n"
     "        Failed requests among the last thousand.\n"
     "sudo trivet observe flows -f -n 0\n"
     "        New flows only.\n"
     "sudo trivet observe flows -f --verdict dropped --to-port 22 --not --ip 10.0.0.0/8\n"
     "        Who knocks at ssh from elsewhere, and is refused.\n"
     "sudo trivet observe http_requests --since 1h -w status=500- -w 'latency=100ms-'\n"
     "        Slow failures of the last hour.\n"},
    {"query", "ask the running trivet in SQL", "query STATEMENT [-o FORMAT] [-s SOCKET]",
     "Runs one SELECT statement of SQLite's SQL over the records in memory and in files\n"
     "(alerts, flows, http_requests, ...) and over what is known of this host now (processes,\n"
     "sockets, containers, interfaces). The table \"columns\" lists every table with its\n"
     "columns and what they mean.\n"
     "\n"
     "Columns of time are text in UTC and compare with SQLite's datetime(); <name>_ns is the\n"
     "same as a number. Durations are in nanoseconds. p50(x), p90(x) and p99(x) are\n"
     "percentiles. Any two tables join on pid and process_start_ns, cgroup_id or\n"
     "socket_cookie.\n"
     "\n"
     "Formats: table is aligned; json is one object for each row, one a line; csv starts\n"
     "with the names. A query may take the memory and time that [query] allows. Interrupt\n"
     "it with Ctrl-C.\n",
     "",
     "sudo trivet query \"SELECT path, count(*), p99(latency) FROM http_requests\n"
     "                    WHERE time > datetime('now', '-5 minutes') GROUP BY path\"\n"
     "        How requests fared in the last five minutes.\n"
     "sudo trivet query \"SELECT name, type, meaning FROM columns WHERE table_name = 'flows'\"\n"
     "        What there is to ask of flows.\n"},
    {"rules", "list and explain rules, fields and events",
     "rules ls [-c FILE] [--rules FILE]\ntrivet rules show RULE [-c FILE] [--rules FILE]\n"
     "trivet rules fields\ntrivet rules events",
     "ls      the rules that the files define, and why some are not judged\n"
     "show    what a rule says, and the events that it is judged on\n"
     "fields  what conditions and outputs can name, with operators and transformers\n"
     "events  the types of events, with their arguments\n"
     "\n"
     "Reads the files itself, as \"trivet check\" does: no trivet need run, and no root.\n",
     "",
     "trivet rules ls --rules falco_rules.yaml\n"
     "        See which of Falco's rules are judged here.\n"
     "trivet rules show \"Terminal shell in container\"\n"
     "        Read a rule of the configuration in /etc/trivet.\n"
     "trivet rules fields -o json\n"
     "        The fields for a program.\n"},
    {"capture", "record events, and replay them without root",
     "capture record FILE [--for TIME] [--size BYTES] [--plugins NAMES] [-s SOCKET]\n"
     "trivet capture replay FILE [TABLE...] [-c FILE] [--rules FILE] [--plugins NAMES] [-o FORMAT]",
     "record  saves what the running trivet sees, and the facts that it takes, to a new file\n"
     "replay  runs the plugins over such a file: the same records come out\n"
     "\n"
     "A capture holds what records leave out: payload with its secrets, environments. The\n"
     "file is for its owner alone, and recording is for those who may write "
     "(control.write_group).\n"
     "What was lost meanwhile is said in the file and on standard error.\n"
     "\n"
     "A replay needs no root, no kernel and no daemon. It takes configuration and rules from\n"
     "the file, or those that are given. Formats are those of observe.\n",
     "",
     "sudo trivet capture record web.cap --for 30s --plugins tracing\n"
     "        Record half a minute of traffic.\n"
     "trivet capture replay web.cap requests -o json\n"
     "        The requests in it.\n"
     "trivet capture replay night.cap alerts --rules new_rules.yaml\n"
     "        What other rules would have said.\n"},
    {"plugin", "list the plugins of the running trivet", "plugin ls [-s SOCKET] [-o FORMAT]",
     "Prints each file in the folder of plugins with its version and state: running, off,\n"
     "failed (it did not start) or refused (it was not even opened, such as one that was\n"
     "built for another trivet), and why.\n"
     "\n"
     "A plugin that fails leaves the others running, unless its table says required = true.\n",
     "", "sudo trivet plugin ls\n        See why a plugin does not run.\n"},
    {"policy", "show and change the network policy in force",
     "policy show [-s SOCKET] [-o FORMAT]\npolicy apply FILE [--confirm TIME]\n"
     "policy confirm\npolicy rollback\npolicy history",
     "apply puts the policy in FILE in force, for connections that are open too. Unless it is\n"
     "confirmed in time, the one before comes back by itself: so a policy that locks you out\n"
     "ends without you. rollback returns to the policy before at once; history lists the last\n"
     "ones. What was applied lasts until the next reload or restart, which take the file that\n"
     "the configuration names: put a policy that has proved itself there.\n",
     "",
     "sudo trivet policy apply new.toml --confirm 60s && sudo trivet policy confirm\n"
     "        Try a policy that must not cut this very session.\n"},
    {"reload", "have the running trivet read its configuration again", "reload [-s SOCKET]",
     "Everything is validated first, then everything is applied: plugins are started and\n"
     "stopped as their tables say, the others run on undisturbed. On any error the old\n"
     "configuration stays in force.\n",
     "0  the new configuration is in force\n"
     "1  the old one still is; the error names file, line and column\n2  wrong usage\n",
     "trivet check && sudo trivet reload\n        Check, then apply.\n"},
    {"version", "print the version", "version",
     "Prints the version, and the fingerprint that a plugin must have been built with.\n", "",
     "trivet version\n"},
    {"help", "print a page of help", "help [COMMAND]",
     "Prints the page of a command; the same as its --help.\n", "", "trivet help observe\n"},
    {"NOUN VERB", "run a verb that a plugin added",
     "NOUN VERB [ARGUMENT...] [-s SOCKET] [-o FORMAT]",
     "Asks the running trivet. \"trivet status\" lists what its plugins offer. An argument that\n"
     "starts with a dash goes behind \"--\".\n",
     "", "sudo trivet network policy\n        Run the verb \"policy\" of the plugin network.\n"},
};

void append_section(std::string& out, std::string_view title, std::string_view body) {
  if (body.empty()) return;
  out += '\n';
  out += title;
  out += '\n';
  while (!body.empty()) {
    std::size_t end = std::min(body.find('\n'), body.size());
    auto line = body.substr(0, end);
    if (!line.empty()) out += "    ";
    out += line;
    out += '\n';
    body.remove_prefix(std::min(end + 1, body.size()));
  }
}

}  // namespace

const std::vector<HelpPage>& help_pages() {
  return kPages;
}

const HelpPage* help_page(std::string_view verb) {
  auto found = std::ranges::find(kPages, verb, &HelpPage::verb);
  return found == kPages.end() ? nullptr : &*found;
}

std::string render(const HelpPage& page, const std::string& options) {
  std::string name = "trivet";
  if (!page.verb.empty()) name += ' ' + std::string(page.verb);
  std::string out = "NAME\n    " + name + " - " + std::string(page.summary) + '\n';
  append_section(out, "SYNOPSIS", "trivet " + std::string(page.synopsis));
  append_section(out, "DESCRIPTION", page.description);
  append_section(out, "OPTIONS", options);
  append_section(out, "EXIT STATUS", page.exit_status.empty() ? kUsualExit : page.exit_status);
  append_section(out, "EXAMPLES", page.examples);
  return out;
}

}  // namespace trivet
