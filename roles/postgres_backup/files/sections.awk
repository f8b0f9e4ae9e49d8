# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Prints what kind of dump a text is, and the position of each database in it. It reads the text once, as psql does:
# statements (sql_lexer.awk), backslash commands, COPY data (src/bin/psql/copy.c; for the contents of dumps:
# src/bin/pg_dump/pg_dumpall.c, pg_dump.c, pg_backup_archiver.c, versions 9.6 to 19). The modules apply the same rules
# (dump_reader.py).
#
# Standard input: the text without NUL bytes (they end lines in some awks) and with ONE newline appended, which shows
# whether the last line ends with a newline: `{ decompress | tr -d '\000'; echo; } | awk -f sql_lexer.awk -f sections.awk`.
# The caller detects NUL bytes by `bytes`, which is the number of bytes read without the appended newline.
#
# Standard output, one fact a line; offsets and lengths are bytes of the original text (carriage returns and a byte order
# mark count):
#
#   section OFFSET LENGTH BODY ENCODING NAME   for each database in the text's order: where its section begins, its length,
#                                              where its body begins (after its \connect; OFFSET where it has none), the
#                                              client_encoding that is set before its body (- where there is none), and
#                                              its name to the line's end (bytes of the text; empty for pg_dump's)
#   kind cluster|database|globals|none
#   globals OFFSET LENGTH ENCODING             of a cluster: the text before the first section
#   version X                                  of the server that was dumped, if the text contains it
#   bytes N                                    the length of the text
#   missing NAMES                              the databases that the run could not dump, a JSON array, if it names any
#   complete yes                               it is one complete dump; else:
#   reason KEY LINE DETAIL                     why not. LINE is the line in question or 0; DETAIL has details or is empty
#
# Keys, as in the modules: message (neither SQL of a dump nor a comment, such as a program's warning; \. outside of COPY),
# command (a psql command that dumps do not contain), rows (COPY data that PostgreSQL rejects), unfinished (a statement begins
# within another one), elsewhere (psql would restore objects into another database than theirs), cut (DETAIL newline: only
# the last bytes are missing; transaction: one is not committed), after (something follows the end), two (dumps), product
# (a dump of another product: DETAIL), encoding (UTF-16, UTF-32), format (DETAIL: custom, tar, gzip), empty, unknown.

BEGIN {
    FS = "\t" # so that NF is the number of columns of a row
    # The first words of statements in dumps, of all versions.
    text = "ALTER BEGIN COMMENT COMMIT COPY CREATE DROP GRANT INSERT REFRESH RESET REVOKE SECURITY SELECT SET UPDATE"
    count = split(text, part, " ")
    for (i = 1; i <= count; i++) is_word[part[i]] = 1
    size = 0
    dashes = -1
}

# Valid rows of COPY.
in_copy > 2 && NF == columns && !index($0, "\r") { size += length($0) + 1; next }

reason != "" { size += length($0) + 1; next }

in_copy { row(); size += length($0) + 1; next }

colon_at { after_colon() }

state <= STATEMENT && standard && (state || ended == "") && is_plain_insert() {
    if (substr($0, length($0)) == ";") state = BETWEEN
    size += length($0) + 1
    next
}

{
    line = $0
    begins = size
    if (NR == 1) begin_text()
    if (ended != "") tail[++tails] = line
    if (index(line, "\r") == length(line)) sub(/\r$/, "", line)
    if (is_wide) line = masked(line)
    if (kind == "" && product == "" && size < 4096) look_for_product(line)
    if (reason != "") line = ""
    if (state == BETWEEN && substr(line, 1, 2) == "--" && !index(line, "\r")) comment(line)
    else {
        dashes = -1
        if (state == STATEMENT && line ~ /^(ALTER|COMMENT ON|COPY|CREATE|DROP|GRANT|INSERT INTO|REVOKE|SELECT|SET|UPDATE) /) refuse("unfinished")
        if (line != "") scan(line)
    }
    size += length($0) + 1
}

END {
    bytes = size - 1
    if (bytes < 0) bytes = 0
    judge()
    if (in_section) end_section(ended == "cluster" ? ended_at : bytes)
    print "kind " (kind == "" ? "none" : kind == "cluster" && !sections && ended != "" ? "globals" : kind)
    if (kind == "cluster")
        printf "globals %.0f %.0f %s\n", globals_at, (sections ? first_at : ended != "" ? ended_at : bytes) - globals_at, \
            (globals_encoding == "" ? "-" : globals_encoding)
    if (version != "") print "version " version
    printf "bytes %.0f\n", bytes
    if (missing != "") print "missing " missing
    if (reason == "") print "complete yes"
    else printf "reason %s %d %s\n", reason, reason_line, detail
}

function refuse(key, reason_detail) {
    if (reason != "") return
    if (kind == "" && key ~ /^(message|command|rows|unfinished|unknown)$/ && product != "") { key = "product"; reason_detail = product }
    reason = key
    reason_line = key ~ /^(message|command|rows|unfinished|elsewhere)$/ ? NR : 0
    found_at = NR
    detail = reason_detail
}

# judge: the checks at the end of the text.
function judge(    expected, key_line, i, last) {
    # The last line may be truncated.
    if (reason != "" && found_at == NR && kind != "" && ended == "") { reason = ""; refuse("cut") }
    if (reason != "") return
    if (!bytes || (has_bom && bytes == 3)) { refuse("empty"); return }
    if (kind == "") { refuse("unknown"); return }
    if (ended == "") { refuse("cut"); return }
    expected = "--\n\n"
    if (kind == "database" && was_restricted) expected = expected "\\unrestrict\n\n"
    count = split(expected, part, "\n")
    for (i = 1; i <= tails; i++) {
        last = tail[i]
        if (i < tails) sub(/\r$/, "", last)
        else if (last == "\r" && part[i] == "" && i < count) last = ""
        if (part[i] == "\\unrestrict" && i < count) {
            if (i < tails ? last !~ /^\\unrestrict [A-Za-z0-9]+$/ : !(index("\\unrestrict ", last) == 1 || last == "" || last ~ /^\\unrestrict [A-Za-z0-9]*\r?$/)) { refuse("after"); return }
        } else if (i > count || (i < tails ? last != part[i] : last != "" && index(part[i] "\r", last) != 1)) { refuse("after"); return }
    }
    if (tails < count) refuse("cut", tails == count - 1 || tail[1] ~ /^--\r?$/ ? "newline" : "")
    else if (kind == "database" && key != "") refuse("after")
    else if (in_transaction) refuse("cut", "transaction")
}

# look_for_product LINE: other products write their name at the beginning; forks of PostgreSQL write it like pg_dump.
function look_for_product(text) {
    if (text ~ /^-- [A-Za-z][A-Za-z0-9_. ]* database (cluster )?dump$/ && text !~ /^-- PostgreSQL /) {
        match(text, / database (cluster )?dump$/)
        product = substr(text, 4, RSTART - 4)
    } else if (text ~ /^PRAGMA foreign_keys/) product = "SQLite"
    else if (text ~ /^(--|#|\/\*)? ?(MySQL|MariaDB|phpMyAdmin|Adminer|HeidiSQL|Navicat|DBeaver|SQLite)([^A-Za-z0-9_].*([Dd]ump|[Tt]ransfer)|$)/) {
        match(text, /[MpAHNDS][A-Za-z]+/)
        product = substr(text, RSTART, RLENGTH)
    }
}

# begin_text: the first line, which may begin with a byte order mark: psql passes over it.
function begin_text() {
    if (substr(line, 1, 3) == "\357\273\277") {
        has_bom = 1
        line = substr(line, 4)
        begins = 3
    }
    if (substr(line, 1, 2) == "\377\376" || substr(line, 1, 2) == "\376\377") refuse("encoding", "UTF-16")
    else if (substr(line, 1, 5) == "PGDMP") refuse("format", "custom")
    else if (substr(line, 1, 2) == "\037\213") refuse("format", "gzip")
    else if (index(line, "ustar") > 1 || substr(line, 1, 7) == "toc.dat") refuse("format", "tar")
}

# ---------------------------------------------------------------------------------------------------------- statements

# is_plain_insert: whether this line is one INSERT, or one row of it, in which nothing but apostrophes means anything.
function is_plain_insert(    rest) {
    rest = substr($0, 1, 2)
    if (is_wide || (state == BETWEEN ? rest != "IN" || !in_section || $0 !~ /^INSERT INTO / : rest != "\t(" || !is_insert || parens)) return 0
    rest = $0
    gsub(/'[^']*'/, "#", rest)
    return (state == BETWEEN ? rest ~ /VALUES \(.*\);$/ : rest ~ /\)[,;]$/) && rest !~ /['"$\\\r]|--|\/\*|[A-Za-z0-9_&]#|;.|: /
}

function begin_statement(rest,    word) {
    if (ended != "") { refuse("after"); return }
    match(rest, /^[A-Z]*/)
    word = substr(rest, 1, RLENGTH)
    # A line with only capitals is a command tag of psql.
    if (!(word in is_word) || substr(rest, RLENGTH + 1, 1) ~ /[A-Za-z0-9_$\200-\377]/ || rest ~ /^[A-Z0-9 ]+\r?$/ || \
        (word == "UPDATE" && rest !~ /^UPDATE[ \t]+(pg_catalog[.])?"?pg_/)) {
        refuse("message")
        return
    }
    start_statement(word, rest)
    statement_line = NR
    is_insert = verb == "INSERT"
    has_values = 0
    plain = ""
    head = verb ~ /^(CREATE|SET|BEGIN|COMMIT)$/ ? rest : ""
}

# client_encoding NAME: the statement sets it.
function client_encoding(name) {
    if (!in_section) { if (globals_encoding == "") globals_encoding = name }
    else if (!has_body) encoding = name
}

# after_colon: checks the line after one that ended in a colon.
function after_colon() {
    if (reason == "" && $0 !~ /^ *CASE([^A-Za-z0-9_$\200-\377]|$)/) {
        refuse("message")
        reason_line = colon_at
    }
    colon_at = 0
}

# words TEXT AT_END: checks text of a statement outside of strings, quoted names and comments; `before` precedes it.
function words(text, at_end) {
    # `name: ` is how a program's message begins; SQL has a colon only doubled, in := and [1:2], after a blank, or in [1:
    # before a CASE on a separate line.
    if (index(text, ":") && (text ~ /[^ \t\r\f\v:[]:[ \t\r\f\v]/ || (before != "" && text ~ /^:[ \t\r\f\v]/))) {
        refuse("message")
        return
    }
    if (at_end && (text ~ /[^ \t\r\f\v:[]:$/ || (before != "" && text == ":"))) colon_at = NR
    if (verb == "COPY") plain = substr(plain text " ", 1, 200000)
    else if (is_insert && toupper(text) ~ /(^|[^A-Z0-9_$\200-\377])VALUES([^A-Z0-9_$\200-\377]|$)/) has_values = 1
    count_blocks(text)
}

# parenthesis CHARACTER
function parenthesis(character) {
    if (character == ")" && !parens) refuse("message")
    plain = plain character
}

# refuse_statement KEY: because of the statement that has ended.
function refuse_statement(key) {
    if (reason != "") return
    refuse(key)
    reason_line = statement_line
}

function end_statement(    text) {
    state = BETWEEN
    # Rows outside of the databases.
    if (!in_section && (verb == "INSERT" || (verb == "COPY" && plain ~ /FROM +[Ss][Tt][Dd][Ii][Nn]/))) { refuse("message"); return }
    # Before \connect.
    if (in_section && !has_body && (kind == "cluster" || is_created) && (verb ~ /^(COPY|INSERT)$/ || head ~ /^CREATE (UNLOGGED )?TABLE /)) {
        refuse_statement("elsewhere")
        return
    }
    if (is_insert && !has_values) refuse_statement("message")
    else if (verb == "BEGIN" || verb == "COMMIT") {
        if (head !~ /^(BEGIN|COMMIT)([ \t]+(WORK|TRANSACTION))?[ \t]*;/) refuse("message")
        in_transaction = verb == "BEGIN"
    } else if (verb == "COPY") {
        # The form that pg_dump writes: the text format, without options.
        text = toupper(plain)
        if (text !~ /^COPY[^().]*([.][^().]*)?(\([^()]*\))?[ \t\r]*(WITH[ \t\r]+OIDS[ \t\r]+)?FROM[ \t\r]+STDIN[ \t\r]*$/ || text ~ /^COPY[ \t\r]+BINARY[ \t\r]/) {
            refuse_statement("message")
            return
        }
        columns = -1
        if (text ~ /\)[ \t\r]*FROM/) columns = gsub(/,/, ",", text) + 1
        in_copy = 1
    } else if (verb == "SET") setting(head)
    else if (verb == "CREATE" && in_section && !is_created && match(head, /^CREATE DATABASE /)) {
        name = identifier(substr(head, RLENGTH + 1))
        is_created = 1
    }
}

# ------------------------------------------------------------------------------------------------ comments and commands

function comment(text,    at, between) {
    if (text == "--") { dashes = begins; return }
    at = dashes >= 0 ? dashes : begins
    dashes = -1
    # A run names the missing databases directly before the end: between are "--" and an empty line.
    between = missing_at == "" ? 0 : at - missing_end
    if (text == "-- PostgreSQL database cluster dump complete" && kind == "cluster" && !is_open && ended == "" && (between == 4 || between == 6)) {
        at = missing_at
        missing = missing_names
    }
    missing_at = ""
    if (substr(text, 1, 14) == "-- PostgreSQL ") {
        if (text == "-- PostgreSQL database cluster dump") {
            if (kind != "") { refuse("two"); return }
            kind = "cluster"
            globals_at = at
        } else if (text == "-- PostgreSQL database dump") begin_database(at)
        else if (text == "-- PostgreSQL database dump complete") {
            if (is_open) {
                is_open = 0
                if (kind == "database") end_dump(at)
            }
        } else if (text == "-- PostgreSQL database cluster dump complete") { if (kind == "cluster" && !is_open) end_dump(at) }
    } else if (substr(text, 1, 13) == "-- Database \"") {
        if (kind == "cluster" && !is_open && ended == "" && text ~ /" dump$/) {
            begin_section(at)
            name = substr(text, 14, length(text) - 19)
        }
    } else if (substr(text, 1, 39) == "-- Databases that could not be dumped: ") {
        if (kind == "cluster" && !is_open) {
            missing_at = at
            missing_end = size + length($0) + 1
            missing_names = substr(text, 40)
        }
    } else if (substr(text, 1, 10) == "-- Dumped ") {
        if (is_open && version == "" && text ~ /^-- Dumped from database version /) {
            version = substr(text, 33)
            sub(/ .*/, "", version)
        }
    }
}

function end_dump(at) {
    if (ended != "") return
    ended = kind
    ended_at = at
}

function begin_database(at) {
    if (ended != "" || is_open) { refuse("two"); return }
    if (kind == "") kind = "database"
    if (!in_section || was_open) {
        if (kind == "database" && in_section) { refuse("two"); return }
        if (connect_at == "") begin_section(at)
        else {
            begin_section(connect_at)
            name = connect_name
            body_at = connect_end
            has_body = 1
        }
    }
    connect_at = ""
    is_open = was_open = 1
}

function begin_section(at) {
    if (in_section) end_section(at)
    if (!sections++) first_at = at
    in_section = 1
    is_open = was_open = has_body = is_created = 0
    section_at = body_at = at
    if (connect_at != at) connect_at = ""
    encoding = name = key = ""
}

function end_section(at) {
    printf "section %.0f %.0f %.0f %s %s\n", section_at, at - section_at, body_at, (encoding == "" ? "-" : encoding), name
    in_section = 0
}

# command TEXT: a backslash command; it ends with its line.
function command(text,    word) {
    match(text, /^\\[^ \t\r\\]*/)
    word = substr(text, 2, RLENGTH - 1)
    text = substr(text, RLENGTH + 1)
    gsub(/^[ \t\r]+|[ \t\r]+$/, "", text)
    if (word == "unrestrict") { if (text == key) key = ""; return }
    if (ended != "") { refuse("after"); return }
    if (word == "" || word == ".") { refuse("message"); return }
    if (key != "") return # psql rejects all other commands there
    if (word == "restrict") { key = text; was_restricted = 1 }
    else if (word == "encoding") set_encoding(text)
    else if (word == "connect" || word == "c") connect(text)
    else if (word !~ /^(echo|qecho|warn|timing|pset)$/ && \
        (word !~ /^(un)?set$/ || text !~ /^(ON_ERROR_STOP|VERBOSITY|SHOW_CONTEXT|ECHO|QUIET|HISTFILE|HISTCONTROL|ECHO_HIDDEN)([ \t]|$)/))
        refuse("command")
}

# is_connection TEXT: whether it is the argument of \connect as pg_dump writes it: a name, or a connection string with nothing else.
function is_connection(text,    name) {
    sub(/^-reuse-previous=[a-z]+[ \t]+/, "", text)
    if (text !~ /^("([^"]|"")*"|'[^']*'|[^ \t"']+)$/ || text ~ /^["']?postgres(ql)?:\/\//) return 0
    name = substr(text, 1, 1) == "\"" ? identifier(text) : text
    return name !~ /=/ || name ~ /^'?[ \t]*dbname[ \t]*=[ \t]*('([^'\\]|\\.)*'|([^ \t'\\]|\\.)*)[ \t]*'?$/
}

function connect(text,    database, expected) {
    standard = 1
    is_wide = 0
    if (in_transaction) { refuse("cut", "transaction"); return }
    if (!is_connection(text)) { refuse("command"); return }
    database = connected_database(text)
    if (kind == "") return
    connect_end = size + length($0) + 1
    if (!in_section || (was_open && !is_open)) {
        # Before version 12 it begins a database, if pg_dump's first comment follows.
        connect_at = begins
        connect_name = database
        return
    }
    # pg_dump escapes bytes of names that are not ASCII, which may be parts of characters.
    expected = is_created || has_body ? name : database
    if (database != expected && (database expected) !~ /[\200-\377]/) { refuse("elsewhere"); return }
    if (!is_created) name = database
    body_at = connect_end
    has_body = 1
}

# ------------------------------------------------------------------------------------------------------------ COPY data

# row: checks a line of COPY data that is the first, the last, or not valid.
function row(    at) {
    at = index($0, "\r")
    if ($0 == "\\." || $0 == "\\.\r") {
        # Up to version 17, psql also sends the end marker, which must have the same line ending as the rows.
        if (in_copy > 1 && is_crlf != (at > 0)) refuse("rows")
        in_copy = 0
        return
    }
    if (in_copy == 1) {
        is_crlf = at > 0 && at == length($0)
        in_copy = columns > 1 && !is_crlf ? 3 : 2
    }
    # All lines of one COPY have the same ending; a carriage return in a value is written as \r.
    if (is_crlf ? at != length($0) || !at : at) refuse("rows")
    else if (columns > 0 && NF != columns && (NF || columns > 1)) {
        # A tab after a backslash does not separate columns.
        line = $0
        gsub(/\\./, "", line)
        if (gsub(/\t/, "", line) != columns - 1) refuse("rows")
    }
}
