// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"
#include "daemon/commands.h"

int main(int argc, char** argv) {
  return trivet::run_command_line(
      argc, argv, {trivet::run, trivet::check, trivet::doctor, trivet::rules, trivet::replay});
}
