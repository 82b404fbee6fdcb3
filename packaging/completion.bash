# SPDX-License-Identifier: Apache-2.0
# Completion of trivet's command line in bash. Everything is read from what the program says with
# --help: verbs, options, what their values are, and the words that may follow a verb.

# The words of a list in prose: "compact, json, falco or text." without what is in parentheses.
_trivet_words() {
  sed 's/([^)]*)//g; s/,/ /g; s/ or / /g; s/\.$//' <<<"$1"
}

_trivet() {
  local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local page verbs option value meaning words
  COMPREPLY=()
  page=$("$program" --help 2>/dev/null) || return
  verbs=$(sed -n 's/^    \([a-z]\{1,\}\)   *[^ ].*/\1/p' <<<"$page")
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W "$verbs --help" -- "$word")
    return
  fi
  if [[ ${COMP_WORDS[1]} == help ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$verbs" -- "$word")
    return
  fi
  page=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null) || return

  # The line of the option before, such as "-c, --config FILE (=...)", and what is said of it.
  if [[ $before == -* ]]; then
    option=$(grep -E -A1 -- "^    (-., )?$before(,| |\$)" <<<"$page")
    value=$(sed -n '1s/^.*--[a-z]* \([A-Z]*\).*/\1/p' <<<"$option")
    meaning=$(sed -n '2s/^ *//p' <<<"$option")
    case $value in
      FILE | SOCKET) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
      FOLDER) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
      FORMAT | WHEN) mapfile -t COMPREPLY < <(compgen -W "$(_trivet_words "$meaning")" -- "$word") ;;
    esac
    [[ $value != FILE && $value != SOCKET && $value != FOLDER ]] || compopt -o filenames 2>/dev/null
    [[ -z $value ]] || return
  fi

  if [[ $word == -* ]]; then
    words=$(sed -n '/^OPTIONS/,/^[A-NP-Z]/s/^    \(-.*\)$/\1/p' <<<"$page" | grep -oE -- '(^|[ ,])--?[a-z]+')
  else
    # "trivet observe alerts|requests|TABLE", "trivet rules ls": what is not in capitals.
    words=$(sed -n '/^SYNOPSIS/,/^DESCRIPTION/s/^    trivet [a-z]* \([a-zA-Z|]*\).*/\1/p' <<<"$page" |
      tr '|' '\n' | grep -x '[a-z]*')
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _trivet trivet
