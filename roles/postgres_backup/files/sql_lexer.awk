# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Reads SQL line by line as psql does: where statements, strings, comments and dollar quotes begin and end
# (src/fe_utils/psqlscan.l, src/bin/psql/mainloop.c). It is put before a program, which calls scan() with each line
# outside of COPY data, and defines:
#
#   begin_statement(REST)      REST begins with a statement: calls start_statement(), or sets `reason` to end the reading
#   end_statement()            the statement has ended; sets `in_copy` if COPY data follow
#   words(TEXT, AT_END)        TEXT of a statement, outside of strings, quoted names and comments; AT_END of a line; it
#                              calls count_blocks()
#   parenthesis(CHARACTER)     one of a statement; `parens` counts it
#   command(TEXT)              a backslash command, which ends with its line
#   client_encoding(NAME)      the statement sets it
#
# It reads `state`, `verb`, `standard` (standard_conforming_strings) and `is_wide` (the encoding needs masked()).

BEGIN {
    BETWEEN = 0; STATEMENT = 1; STRING = 2; ESCAPES = 3; NAME = 4; DOLLAR = 5; COMMENT = 6
    standard = 1
    state = BETWEEN
}

# masked LINE: the line without characters whose second byte could be read as an ASCII character.
function masked(line) {
    gsub(WIDE, "\377\377", line)
    return line
}

# start_statement WORD REST: REST begins with a statement whose first word is WORD.
function start_statement(word, rest) {
    state = STATEMENT
    verb = word
    parens = blocks = 0
    is_routine = verb == "CREATE" && toupper(rest) ~ /^CREATE[ \t]+(OR[ \t]+REPLACE[ \t]+)?(FUNCTION|PROCEDURE)([^A-Z0-9_]|$)/
}

# count_blocks TEXT: psql counts BEGIN ATOMIC ... END only in statements that create a function or procedure.
function count_blocks(text,    word) {
    if (!is_routine || parens) return
    text = tolower(text)
    while (match(text, /[a-z_\200-\377][a-z0-9_\200-\377]*/)) {
        word = substr(text, RSTART, RLENGTH)
        if (word == "begin" || (word == "case" && blocks)) blocks++
        else if (word == "end" && blocks) blocks--
        text = substr(text, RSTART + RLENGTH)
    }
}

# scan REST: reads the rest of a line; updates `state` to its value at the end of the line.
function scan(rest,    at, one) {
    before = ""
    while (rest != "" && reason == "") {
        if (state == BETWEEN) {
            at = match(rest, /[^ \t\r\f\v]/)
            if (!at) return
            if (at > 1) rest = substr(rest, at)
            one = substr(rest, 1, 1)
            if (substr(rest, 1, 2) == "--") rest = after_comment(rest)
            else if (substr(rest, 1, 2) == "/*") { state = COMMENT; outer = BETWEEN; depth = 1; rest = substr(rest, 3) }
            else if (one == "\\") { command(rest); return }
            else if (one == ";") rest = substr(rest, 2)
            else begin_statement(rest)
        } else if (state == STATEMENT) {
            at = match(rest, /['"$;\\()]|--|\/\*/)
            if (!at) { words(rest, 1); return }
            if (at > 1) words(substr(rest, 1, at - 1), 0)
            one = before = substr(rest, at, 1)
            if (one == "'") {
                state = !standard || substr(rest, 1, at) ~ /(^|[^A-Za-z0-9_$\200-\377])[Ee]'$/ ? ESCAPES : STRING
                if (state == ESCAPES && standard == 0 && substr(rest, 1, at) ~ /(^|[^A-Za-z0-9_$\200-\377])[BbXx]'$/) state = STRING
                rest = substr(rest, at + 1)
            } else if (one == "\"") { state = NAME; rest = substr(rest, at + 1) }
            else if (one == "(") { parens++; rest = substr(rest, at + 1); parenthesis("(") }
            else if (one == ")") { parenthesis(")"); if (parens) parens--; rest = substr(rest, at + 1) }
            else if (one == ";") {
                rest = substr(rest, at + 1)
                if (!parens && !blocks) { end_statement(); if (in_copy) return }
            } else if (one == "$") rest = dollar(rest, at)
            else if (one == "\\") {
                if (substr(rest, at + 1, 1) ~ /[;:]/) rest = substr(rest, at + 2)
                else { command(substr(rest, at)); return }
            } else if (one == "-") rest = after_comment(rest)
            else { state = COMMENT; outer = STATEMENT; depth = 1; rest = substr(rest, at + 2) }
        } else if (state == STRING || state == NAME) {
            one = state == NAME ? "\"" : "'"
            at = index(rest, one)
            if (!at) return
            if (substr(rest, at + 1, 1) == one) rest = substr(rest, at + 2)
            else { state = STATEMENT; rest = substr(rest, at + 1) }
        } else if (state == ESCAPES) {
            at = match(rest, /[\\']/)
            if (!at) return
            if (substr(rest, at, 1) == "\\" || substr(rest, at, 2) == "''") rest = substr(rest, at + 2)
            else { state = STATEMENT; rest = substr(rest, at + 1) }
        } else if (state == DOLLAR) {
            at = index(rest, tag)
            if (!at) return
            rest = substr(rest, at + length(tag))
            state = STATEMENT
        } else {
            at = match(rest, /\/\*|\*\//)
            if (!at) return
            if (substr(rest, at, 1) == "/") depth++
            else if (--depth == 0) state = outer
            rest = substr(rest, at + 2)
        }
    }
}

# after_comment REST: the text after a comment of one line, which a carriage return ends, too.
function after_comment(rest,    at) {
    at = index(rest, "\r")
    return at ? substr(rest, at + 1) : ""
}

# dollar REST AT: the text after a dollar sign, which begins a dollar quote, or is part of a name or a parameter.
function dollar(rest, at,    remainder) {
    remainder = substr(rest, at)
    if (substr(rest, 1, at - 1) !~ /[A-Za-z_\200-\377][A-Za-z0-9_\200-\377]*$/ && match(remainder, /^\$([A-Za-z_\200-\377][A-Za-z0-9_\200-\377]*)?\$/)) {
        tag = substr(remainder, 1, RLENGTH)
        state = DOLLAR
        return substr(remainder, RLENGTH + 1)
    }
    match(remainder, /^\$[A-Za-z0-9_$\200-\377]*/)
    return substr(remainder, RLENGTH + 1)
}

# setting TEXT: a SET statement.
function setting(text,    value) {
    if (!match(toupper(text), /^SET[ \t]+(CLIENT_ENCODING|STANDARD_CONFORMING_STRINGS)[ \t]*(=|TO)[ \t]*/)) return
    value = substr(text, RLENGTH + 1)
    sub(/^'/, "", value)
    sub(/[' ;].*$/, "", value)
    if (toupper(text) ~ /^SET[ \t]+C/) set_encoding(value)
    else standard = tolower(value) !~ /^(off|false|0|no)$/
}

# set_encoding NAME: in some encodings, the second byte of a character can be an ASCII character.
function set_encoding(name) {
    client_encoding(name)
    name = toupper(name)
    gsub(/[^A-Z0-9]/, "", name)
    is_wide = name ~ /^(SJIS|SHIFTJIS|MSKANJI|WIN932|WINDOWS932|SHIFTJIS2004|BIG5|WIN950|WINDOWS950|GBK|WIN936|WINDOWS936|UHC|WIN949|WINDOWS949|JOHAB|GB18030)$/
    WIDE = name ~ /JIS|932|MSKANJI/ ? "[\200-\240\340-\377]." : name == "GB18030" ? "[\200-\377][0-9]..|[\200-\377]." : \
        name == "JOHAB" ? "\217..|[\200-\377]." : "[\200-\377]."
}

# identifier TEXT: the name at its beginning, without its quotes.
function identifier(text,    at) {
    if (substr(text, 1, 1) != "\"") {
        at = match(text, /[ ;,\r\t]/)
        return at ? substr(text, 1, at - 1) : text
    }
    match(text, /^"([^"]|"")*"/)
    text = substr(text, 2, RLENGTH - 2)
    gsub(/""/, "\"", text)
    return text
}

# connected_database TEXT: the database that the argument of \connect names.
function connected_database(text,    database) {
    sub(/^-reuse-previous=[a-z]+[ \t]+/, "", text)
    if (text == "") return ""
    database = substr(text, 1, 1) == "\"" ? identifier(text) : text ~ /^'.*'$/ ? substr(text, 2, length(text) - 2) : text
    if (match(database, /(^|[ \t])dbname[ \t]*=[ \t]*/)) {
        database = substr(database, RSTART + RLENGTH)
        if (match(database, /^'([^'\\]|\\.)*'/)) database = substr(database, 2, RLENGTH - 2)
        database = unescaped(database)
    }
    return database
}

function unescaped(text,    at, result) {
    while ((at = index(text, "\\"))) {
        result = result substr(text, 1, at - 1) substr(text, at + 1, 1)
        text = substr(text, at + 2)
    }
    return result text
}
