# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# SQL with psql, and its error messages without values of rows.
# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154 # variables are shared with the other files

# session_options MAJOR SUPERUSER (yes or no): prints PGOPTIONS that override settings of the server, the database or the
# role that would prevent a restore or change values (array_nulls). pg_dump's text sets others itself. Settings that
# change the meaning of the text, such as standard_conforming_strings, are not touched.
session_options() {
    printf '%s' '-c default_transaction_read_only=off -c default_transaction_isolation=read\ committed -c default_transaction_deferrable=off' \
        ' -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c array_nulls=on -c quote_all_identifiers=off'
    [ "$1" -lt 14 ] || printf ' -c idle_session_timeout=0'
    [ "$1" -lt 17 ] || printf ' -c transaction_timeout=0'
    [ "$2" = yes ] || return 0
    printf ' -c role=none -c lc_messages=C -c temp_file_limit=-1'
    # Login triggers of the restored database, and those of statements, which its dump creates before it fills materialized views.
    [ "$1" -lt 17 ] || printf ' -c event_triggers=off'
}

# feed_psql DATABASE [PARAMETER ...]: runs SQL from standard input; stops at the first error.
# Only psql_error may print its messages: they may contain rows.
feed_psql() {
    psql --no-psqlrc --no-password --no-align --tuples-only --set=ON_ERROR_STOP=1 --set=VERBOSITY=verbose \
        --dbname="$(connection "$@")"
}

# psql_failure STAGE: sets `message` to the first error of that stage's psql, else to the meaning of its exit status
# (PostgreSQL documentation, psql, "Exit Status"); sets `is_lost` if it lost its connection without printing an error.
psql_failure() {
    is_lost=no
    message=$(psql_error "$work/$1.err" 2>/dev/null)
    [ -z "$message" ] || return 0
    psql_status=$(stage_status_of "$1")
    message="psql ended $(status_in_words "$psql_status")"
    [ "$psql_status" != 2 ] || is_lost=yes message="its connection to the server was lost ($message)"
}

# psql_error FILE: prints the first error in psql's output with VERBOSITY=verbose, in one line, without values of rows:
# these are in the texts of SQLSTATE classes 22 (data exception) and 42601 (syntax error), in exceptions of functions
# (P0001), and in DETAIL, LINE and CONTEXT (PostgreSQL documentation, appendix A, and src/backend/utils/error/elog.c).
# Function names and the line of COPY are kept of CONTEXT. If the server's language is not English (lc_messages), it is
# the last message with an SQLSTATE, since psql stops at the first error.
psql_error() {
    awk '
        # The line in a function (PL/pgSQL or SQL) or in COPY, in any language: the words between names are not compared.
        function place(line) {
            sub(/^[^ ]+:  /, "", line)
            if (match(line, /^COPY [^:]*, line [0-9]+(, column [^:]*)?/)) return substr(line, RSTART, RLENGTH)
            if (match(line, /^PL\/pgSQL function .* line [0-9]+ at [A-Za-z ]+$/)) return line
            if (match(line, /^SQL function "[^"]*"( statement [0-9]+| during [a-z]+)?/)) return substr(line, RSTART, RLENGTH)
            return ""
        }
        function add_place(line, new) {
            new = place(line)
            if (new == "" || places >= 2 || index(context, new)) return
            places++
            context = context (context == "" ? "" : "; ") new
        }
        function begin(line) { text = line; names = context = ""; places = in_context = 0 }
        has_error && /^CONTEXT:  / { in_context = 1; add_place($0); next }
        has_error && in_context && /^[A-Z][A-Z ]*:  / { in_context = 0 }
        has_error && in_context { add_place($0); next }
        has_error && /^(SCHEMA|TABLE|CONSTRAINT) NAME:  / {
            split($0, part, ":  ")
            names = names (names == "" ? "" : ", ") tolower(substr($0, 1, index($0, " ") - 1)) " " part[2]
        }
        !has_error && (match($0, /(ERROR|FATAL|PANIC):  [0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]: /) || match($0, /(error|ERROR|FATAL|PANIC): /)) {
            has_error = 1
            begin(substr($0, RSTART))
        }
        # psql prints no more than this about an unknown command.
        !has_error && /^invalid command / { has_error = 1; begin(substr($0, 1, 60)) }
        # A severity in another language. (Notices have the SQLSTATEs of classes 00, 01 and 42P0x.)
        !has_error && match($0, /^(psql:[^ ]*: )?[^ :]+:  [0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]: /) {
            other = substr($0, RLENGTH - 6, 5)
            if (other !~ /^0[01]/) { sub(/^psql:[^ ]*: /, ""); sub(/^[^ :]+:/, "ERROR:"); begin($0) }
        }
        END {
            if (text == "") exit
            state = text ~ /^[A-Z]+:  [0-9A-Z]....: / ? substr(text, index(text, ":") + 3, 5) : ""
            # A function may raise an exception with values of a row, with any SQLSTATE.
            if (state == "P0001" || (state != "" && context ~ /^PL\/pgSQL function .* at RAISE/)) sub(/: .*/, ": " state ": a function raised an exception", text)
            if (state ~ /^22/ || state == "42601") {
                # The name of a setting, a parenthesis, and a word that versions since 16 reserve, are not values.
                if (match(text, /: (invalid value for parameter "[A-Za-z0-9_.]+"|syntax error at or near "(system_user|[)])")/)) text = substr(text, 1, RSTART + RLENGTH - 1)
                else { gsub(/"[^"]*"/, "...", text); sub(/".*/, "...", text) }
            }
            gsub(/:  /, ": ", text)
            print text (context == "" ? "" : " (" context ")") (names == "" ? "" : " [" names "]")
        }
    ' "$1" | cut -c 1-600
}

# sqlstate MESSAGE: prints the SQLSTATE in a message of psql_error, or nothing.
sqlstate() { printf '%s\n' "$1" | sed -n -e '1s/^[A-Z]*: \([0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]\): .*/\1/p'; }
