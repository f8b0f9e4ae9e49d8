# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# A backup's text on its way to psql, for drill.sh and restore.sh; read by backup.sh.
# shellcheck shell=sh
# shellcheck disable=SC2154 # `work` is backup.sh's

# expand_text: decompresses standard input by the fastest program that the image has.
expand_text() {
    if command -v igzip >/dev/null 2>&1; then igzip -d -c
    elif command -v pigz >/dev/null 2>&1; then pigz -d -c
    else gzip -d -c; fi
}

# take BYTES: copies exactly so many bytes of standard input, and reads none beyond. (head reads more than it copies.)
take() {
    blocks=$(($1 / 1048576)) rest=$(($1 % 1048576))
    [ "$blocks" -eq 0 ] || dd bs=1048576 count="$blocks" iflag=fullblock 2>/dev/null || return 1
    [ "$rest" -eq 0 ] || dd bs="$rest" count=1 iflag=fullblock 2>/dev/null
}

# begins_section: whether standard input begins as the section of a database does: since version 12 with a comment that
# names it, before with \connect, or in 11 with pg_dump's comment.
begins_section() {
    head -c 64 | tr -d '\r' | head -n 2 | grep -q -e '^-- Database "' -e '^-- PostgreSQL database dump$' -e '^\\connect '
}

# feed_psql DATABASE [PARAMETER ...]: SQL from standard input; ends at the first error.
# Its messages must be shown by psql_error only: they may hold rows.
feed_psql() {
    psql --no-psqlrc --no-password --no-align --tuples-only --set=ON_ERROR_STOP=1 --set=VERBOSITY=verbose \
        --dbname="$(connection "$@")"
}

# psql_end MESSAGE STAGE: the message, else what the end of that stage's psql means (PostgreSQL documentation, psql, "Exit
# Status").
psql_end() {
    psql_status=$(stage_status_of "$2")
    if [ -n "$1" ]; then printf '%s' "$1"
    elif [ "$psql_status" = 2 ]; then printf 'connection to server was lost (psql ended %s)' "$(status_in_words 2)"
    else printf 'psql ended %s' "$(status_in_words "$psql_status")"; fi
}

# psql_error FILE: the first error in what psql said with VERBOSITY=verbose, in one line, without a value of a row:
# those stand in the texts of SQLSTATE classes 22 (data exception) and 42601 (syntax error), in what functions raise
# (P0001), and in DETAIL, LINE and CONTEXT (PostgreSQL documentation, appendix A, and src/backend/utils/error/elog.c).
psql_error() {
    awk '
        found && /^CONTEXT:  COPY [^:]*, line [0-9]+/ {
            match($0, /COPY [^:]*, line [0-9]+(, column [^:]*)?/)
            context = " (" substr($0, RSTART, RLENGTH) ")"
        }
        found && /^(SCHEMA|TABLE|CONSTRAINT) NAME:  / {
            split($0, part, ":  ")
            names = names (names == "" ? "" : ", ") tolower(substr($0, 1, index($0, " ") - 1)) " " part[2]
        }
        !found && (match($0, /(ERROR|FATAL|PANIC):  [0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z][0-9A-Z]: /) || match($0, /(error|ERROR|FATAL|PANIC): /)) {
            found = 1
            text = substr($0, RSTART)
            state = text ~ /^[A-Z]+:  [0-9A-Z]....: / ? substr(text, index(text, ":") + 3, 5) : ""
            if (state == "P0001") sub(/: .*/, ": " state ": a function raised an exception", text)
            if (state ~ /^22/ || state == "42601") { gsub(/"[^"]*"/, "...", text); sub(/".*/, "...", text) }
            gsub(/:  /, ": ", text)
        }
        # psql says of a command that it does not know no more than this.
        !found && /^invalid command / { found = 1; text = substr($0, 1, 60) }
        END { if (found) print text context (names == "" ? "" : " [" names "]") }
    ' "$1" | cut -c 1-600
}
