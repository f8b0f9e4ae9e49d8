# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Reads the globals at the beginning of a pg_dumpall text: its statements up to the first database.
# (src/bin/pg_dump/pg_dumpall.c: dumpRoles, dumpRoleMembership, dumpTablespaces; standard_conforming_strings is on.)
# Before version 12 the first database begins with \connect or pg_dump's first comment. Lines may end in CRLF, and the text
# may begin with a byte order mark: psql accepts both.
#
#   mode=facts     prints `bytes N` (their length), `encoding NAME`, `superuser NAME` (a role with every attribute,
#                  preferably postgres), `tablespaces N`; writes the text itself to -v copy=FILE
#   mode=restore   prints them for a temporary server: without the CREATE ROLE of $SUPERUSER, which exists, and with
#                  tablespaces inside the data folder (allow_in_place_tablespaces)
#   mode=cluster   for a live server: with -v output=names, `created NAME`, `kept NAME`, `altered NAME` for its roles,
#                  and `tablespace NAME` for each that is not in -v tablespaces_file=FILE; with -v output=statements,
#                  the statements that create the roles that are not in -v existing=FILE, and with -v alter=yes those
#                  that alter the others, never their passwords, and never the roles in -v protected=FILE. Names of roles
#                  are with \\ and \n for a backslash and a newline, also in these two files. A setting of a role that the
#                  server rejects does not end the transaction (psql's ON_ERROR_ROLLBACK)
#   mode=roles     prints the statements that create the roles in the file -v wanted=FILE, one a line; memberships only
#                  in these roles and in those of the file -v existing=FILE; writes the others to -v left_out=FILE

BEGIN {
    GRANTOR = " GRANTED BY (\"([^\"]|\"\")*\"|[^ ;\"]*);$"
    superuser = ENVIRON["SUPERUSER"] # awk -v would interpret its backslashes
    if (wanted != "") while ((getline role < wanted) > 0) is_wanted[role] = is_known[role] = 1
    if (existing != "") while ((getline role < existing) > 0) is_known[role] = is_existing[role] = 1
    if (protected != "") while ((getline role < protected) > 0) is_protected[role] = 1
    if (tablespaces_file != "") while ((getline role < tablespaces_file) > 0) has_tablespace[role] = 1
    is_complete = 0
}

{
    line = $0
    if (NR == 1) sub(/^\357\273\277/, "", line)
    if (line ~ /\r$/) line = substr(line, 1, length(line) - 1)
}

# Between statements.
statement == "" && quote == "" {
    if (line ~ /^\\connect |^-- Database "/ || line == "-- PostgreSQL database dump" || line == "-- PostgreSQL database cluster dump complete") {
        is_complete = 1
        exit
    }
    # A line of dashes belongs to the comment that follows.
    if (held != "") pass(held)
    held = line == "--" ? $0 : ""
    if (held != "") next
    if (line == "" || line ~ /^--/ || line ~ /^\\/) { pass($0); next }
}

{
    keep($0)
    scan(line)
    statement = statement (statement == "" ? "" : "\n") (quote == "" ? line : $0)
    if (quote == "" && line ~ /;$/) { end_statement(statement); statement = "" }
}

END {
    if (mode == "facts") {
        printf "complete %d\nbytes %.0f\nencoding %s\ntablespaces %d\n", is_complete, bytes, encoding, tablespaces
        if (dump_superuser != "") printf "superuser %s\n", dump_superuser
    }
    print_memberships()
}

function keep(text) {
    bytes += length(text) + 1
    if (copy != "") print text > copy
}

# pass TEXT: a comment or an empty line.
function pass(text) {
    keep(text)
    if (mode != "restore") return
    sub(/^\357\273\277/, "", text)
    print text
}

# scan LINE: updates `quote` to its value at the end of the line: empty, a quotation mark, an apostrophe, or E (escape string).
function scan(line, at) {
    while (line != "") {
        if (quote == "") {
            at = match(line, /["']|--/)
            if (!at || substr(line, at, 1) == "-") return
            quote = substr(line, at, 1)
            if (quote == "'" && substr(line, 1, at) ~ /(^|[^A-Za-z0-9_$"])[Ee]'$/) quote = "E"
            line = substr(line, at + 1)
        } else if (quote == "E") {
            at = match(line, /[\\']/)
            if (!at) return
            if (substr(line, at, 1) == "\\" || substr(line, at, 2) == "''") line = substr(line, at + 2)
            else { quote = ""; line = substr(line, at + 1) }
        } else {
            at = index(line, quote)
            if (!at) return
            if (substr(line, at, 2) == quote quote) line = substr(line, at + 2)
            else { quote = ""; line = substr(line, at + 1) }
        }
    }
}

# identifier TEXT: the name at its beginning, unquoted; sets `remainder` to what follows.
function identifier(text, name, at) {
    if (substr(text, 1, 1) != "\"") {
        at = match(text, /[ ;,]/)
        remainder = at ? substr(text, at) : ""
        return at ? substr(text, 1, at - 1) : text
    }
    name = ""
    text = substr(text, 2)
    while ((at = index(text, "\"")) && substr(text, at, 2) == "\"\"") {
        name = name substr(text, 1, at)
        text = substr(text, at + 2)
    }
    remainder = substr(text, at + 1)
    return name substr(text, 1, at - 1)
}

# named TEXT KEYWORDS: the name after the keywords at the beginning of the text; empty if the text begins otherwise.
function named(text, keywords) {
    return index(text, keywords) == 1 ? identifier(substr(text, length(keywords) + 1)) : ""
}

function end_statement(text, role) {
    if (mode == "facts") {
        if (match(text, /^SET client_encoding = '[^']*'/)) encoding = substr(text, 24, RLENGTH - 24)
        if (text ~ /^CREATE TABLESPACE /) tablespaces++
        role = named(text, "ALTER ROLE ")
        if (role != "" && remainder ~ /^ WITH SUPERUSER .* REPLICATION BYPASSRLS/ && (dump_superuser == "" || role == "postgres"))
            dump_superuser = role
    } else if (mode == "restore") {
        if (named(text, "CREATE ROLE ") == superuser && remainder == ";") return
        if (named(text, "DROP ROLE ") == superuser || named(text, "DROP ROLE IF EXISTS ") == superuser) return
        if (text ~ /^CREATE TABLESPACE /) sub(/ LOCATION E?'([^']|'')*';$/, " LOCATION '';", text)
        print text
    } else if (mode == "cluster") {
        end_cluster_statement(text)
    } else if (mode == "roles") {
        role = named(text, "CREATE ROLE ")
        if (role == "") role = named(text, "ALTER ROLE ")
        if (role == "") role = named(text, "COMMENT ON ROLE ")
        if (role == "" && text ~ /^GRANT /) {
            role = member(text)
            if (role != "" && (role in is_wanted)) keep_membership(text)
        } else if (role != "" && (role in is_wanted)) print text
    }
}

# member TEXT: the member in `GRANT role TO member …`; empty if the role does not exist.
function member(text, role) {
    role = named(text, "GRANT ")
    if (index(remainder, " TO ") != 1) return ""
    text = identifier(substr(remainder, 5))
    if ((text in is_wanted) && !(role in is_known)) { print role > left_out; return "" }
    return text
}

# keep_membership TEXT: a statement `GRANT role TO member …`. Its grantor may not exist on this server, or lack the right: what
# several grantors have given is one membership there, with the options of all of them (PostgreSQL 16 and newer).
function keep_membership(text,    pair, options, number) {
    sub(GRANTOR, ";", text)
    pair = named(text, "GRANT ")
    pair = pair SUBSEP identifier(substr(remainder, 5))
    options = remainder
    if (!(pair in number_of)) {
        number_of[pair] = ++memberships
        membership[memberships] = substr(text, 1, length(text) - length(options))
    }
    number = number_of[pair]
    if (options ~ /[ ,]ADMIN (OPTION|TRUE)/) is_admin[number] = 1
    if (options ~ /[ ,]INHERIT (OPTION|TRUE)/) inherits[number] = "TRUE"
    else if (options ~ /[ ,]INHERIT FALSE/ && !(number in inherits)) inherits[number] = "FALSE"
    if (options !~ /[ ,]SET FALSE/) may_set[number] = 1
}

function print_memberships(    number, options) {
    for (number = 1; number <= memberships; number++) {
        options = number in is_admin ? ", ADMIN OPTION" : ""
        if (number in inherits) options = options ", INHERIT " inherits[number]
        if (!(number in may_set)) options = options ", SET FALSE"
        print membership[number] (options == "" ? "" : " WITH " substr(options, 3)) ";"
    }
}

# end_cluster_statement TEXT: mode=cluster.
function end_cluster_statement(text, role, space, rest) {
    if (text ~ /^(SET|DROP) /) return
    role = escaped(named(text, "CREATE ROLE "))
    if (role != "") {
        if (output == "names") print (role in is_existing ? (may_alter(role) ? "altered " : "kept ") : "created ") role
        else if (!(role in is_existing)) print text
        return
    }
    space = named(text, "CREATE TABLESPACE ")
    if (space != "") {
        if (output == "names" && !(space in has_tablespace)) print "tablespace " space
        return
    }
    if (output == "names") return
    role = escaped(named(text, "ALTER ROLE "))
    if (role != "") {
        # Only what follows the name, which may be anything.
        rest = remainder
        text = substr(text, 1, length(text) - length(rest))
        # Before version 11 these are among the globals; the restore of the database has them.
        if (rest ~ /^ IN DATABASE / || ((role in is_existing) && !may_alter(role))) return
        if ((role in is_existing) && rest ~ /^ WITH /) sub(/ PASSWORD E?'([^']|'')*'/, "", rest)
        if (rest !~ /^ SET /) print text rest
        else print "\\set ON_ERROR_STOP 0\n\\set ON_ERROR_ROLLBACK on\n" text rest "\n\\set ON_ERROR_ROLLBACK off\n\\set ON_ERROR_STOP 1"
        return
    }
    role = escaped(named(text, "COMMENT ON ROLE "))
    if (role == "" && text ~ /^SECURITY LABEL /) role = escaped(identifier(substr(text, index(text, " ON ROLE ") + 9)))
    if (role != "") {
        if (!(role in is_existing) || may_alter(role)) print text
        return
    }
    # A right is added, not taken away: memberships, and rights on settings and tablespaces.
    if (text !~ /^GRANT / || text ~ /^GRANT [A-Z, ]+ ON DATABASE /) return
    role = escaped(named(text, "GRANT "))
    if (index(remainder, " TO ") == 1) {
        space = escaped(identifier(substr(remainder, 5)))
        if ((role in is_existing) && (space in is_existing) && !may_alter(space)) return
        keep_membership(text)
        return
    }
    sub(GRANTOR, ";", text)
    if (match(text, / TO ("([^"]|"")*"|[^ ;"]+)( WITH GRANT OPTION)?;$/)) {
        role = escaped(identifier(substr(text, RSTART + 4)))
        if (!(role in is_existing) || may_alter(role)) print text
    }
}

function escaped(name) {
    gsub(/\\/, "&&", name) # awks differ in how they read backslashes here
    gsub(/\n/, "\\n", name)
    return name
}

function may_alter(role) { return alter == "yes" && !(role in is_protected) }
