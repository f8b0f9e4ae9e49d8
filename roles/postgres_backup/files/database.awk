# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers
#
# Prints facts about the text of one database: what a restore must know before it, and writes the SQL to create the
# database under another name. The forms are those that pg_dump writes: dumpDatabase(), dumpDatabaseConfig(), dumpPolicy()
# and dumpUserMappings() in pg_dump.c, buildACLCommands() and makeAlterConfigCommand() in dumputils.c, _becomeUser() and
# _printTocEntry() in pg_backup_archiver.c, dumpCreateDB() in pg_dumpall.c of PostgreSQL 9.6 to 19. It is run as
# `awk -f sql_lexer.awk -f database.awk`.
#
# Standard input: the text of the database's section, without NUL bytes; its beginning is enough for the facts that are
# marked with *. Before it may be globals, of -v globals_bytes=N bytes, which have the statements about the database before
# version 11; then -v database=NAME must be set.
#
# Standard output: one fact a line, its fields separated by tabs; names are the text's bytes, those of roles, tables and
# extensions with \\, \n and \t for a backslash, a newline and a tab; offsets and lengths are bytes of the section's text,
# without the globals:
#
#   name NAME                     * of the database
#   encoding NAME                 * the client_encoding that is set before the body; - where there is none
#   standard on|off               * standard_conforming_strings of the body
#   body OFFSET                   * the first byte after the last \connect that belongs to the database's own statements
#   search_path OFFSET LENGTH     * the statement that makes the search_path empty, without its newline
#   create_extension OFFSET NAME  * where its CREATE EXTENSION begins
#   extension OFFSET NAME SCHEMA  * OFFSET is where the line after its CREATE EXTENSION begins; SCHEMA as the text quotes it
#   about OFFSET LENGTH           a statement of the body about the database itself, which names it; with its newline
#   extension_part OFFSET LENGTH NAME   a statement, with its COPY data, of an extension in -v late="NAME SCHEMA ..."
#   role NAME                     each role that the text needs, once
#   copy ROWS TABLE OFFSET LENGTH COLUMNS   for each COPY of the body, in the order of the text; TABLE and COLUMNS (with their
#                                 parentheses, or nothing) as the text has them; OFFSET and LENGTH are those of its rows, with
#                                 the line that ends them
#   inserts N                     the number of INSERT statements
#   complete yes|no               whether pg_dump's last comment is there
#   bytes N
#
# With -v folder=FOLDER it writes the SQL for the database $TEMPORARY there: create.sql (in ASCII, without the semicolon, so
# that options can be added), settings.sql (owner, and settings that the body may need), properties.sql (after the body), and
# limits.sql (in ASCII, with the final name). settings.sql and properties.sql are for a session in that database with the
# client_encoding `encoding`: names of roles are the bytes in the catalog. If their last query returns something, it is the
# names of the settings that the server rejected.
#
# With -v schema=FILE it writes the body there without rows: neither COPY, nor the data of large objects, nor REFRESH
# MATERIALIZED VIEW, nor statements about the database, which name it.

BEGIN {
    FS = "\n"
    EMPTY_PATH = "SELECT pg_catalog.set_config('search_path', '', false);"
    LIMIT = 131072 # longer statements are not searched
    identifier_pattern = "(\"([^\"]|\"\")*\"|[^] \t\r\n\"(),;.=']+)"
    size = -globals_bytes
    encoding = "-"
    count = split(late, part, " ")
    for (i = 1; i < count; i += 2) late_schema[part[i]] = part[i + 1]
    # They could make the sessions of a restore fail, or change what they write, and no dump needs them before its body.
    count = split("array_nulls client_min_messages default_transaction_deferrable default_transaction_isolation " \
        "default_transaction_read_only event_triggers exit_on_error idle_in_transaction_session_timeout idle_session_timeout " \
        "lc_messages lock_timeout maintenance_work_mem max_stack_depth quote_all_identifiers restrict_nonsystem_relation_kind " \
        "role session_authorization session_replication_role statement_timeout temp_file_limit temp_tablespaces " \
        "transaction_timeout zero_damaged_pages", part, " ")
    for (i = 1; i <= count; i++) is_late_setting[part[i]] = 1
    temporary = "\"" ENVIRON["TEMPORARY"] "\""
}

in_copy {
    if ($0 == "\\." || $0 == "\\.\r") {
        in_copy = 0
        size += length($0) + 1
        printf "copy\t%.0f\t%s\t%.0f\t%.0f\t%s\n", rows, escaped(copied_table), copied_at, size - copied_at, escaped(copied_columns)
        if (copied_by != "") print_part(copied_by)
        next
    }
    rows++
    size += length($0) + 1
    next
}

# An INSERT in one line, in which nothing but apostrophes means anything.
state == BETWEEN && standard && !is_wide && /^INSERT INTO / {
    line = $0
    gsub(/'[^']*'/, "#", line)
    if (line ~ /VALUES \(.*\);$/ && line !~ /['"$\\\r]|--|\/\*|[A-Za-z0-9_&]#|;./) {
        inserts++
        size += length($0) + 1
        next
    }
}

{
    line = $0
    if (index(line, "\r") == length(line)) sub(/\r$/, "", line)
    if (is_wide) line = masked(line)
    if (state == BETWEEN && substr(line, 1, 2) == "--" && !index(line, "\r")) {
        if (size >= 0 && line == "-- PostgreSQL database dump complete") is_complete = 1
    } else {
        if (state != BETWEEN && length(statement) < LIMIT) statement = statement "\n" $0
        if (line != "") scan(line)
    }
    if (schema != "") keep_schema()
    size += length($0) + 1
    # What lies behind the statement is known now.
    if (part_name != "") { if (!in_copy) print_part(part_name); part_name = "" }
    if (extension_name != "") {
        printf "create_extension\t%.0f\t%s\n", begins, escaped(extension_name)
        printf "extension\t%.0f\t%s\t%s\n", size, escaped(extension_name), escaped(extension_schema)
        extension_name = ""
    }
}

END {
    printf "inserts\t%.0f\ncomplete\t%s\nbytes\t%.0f\n", inserts, is_complete ? "yes" : "no", size
    print_head()
    if (folder != "") write_sql()
}

# ---------------------------------------------------------------------------------------------------- hooks of the lexer

function begin_statement(rest) {
    match(rest, /^[A-Za-z]*/)
    start_statement(toupper(substr(rest, 1, RLENGTH)), rest)
    statement = $0
    sub(/^[ \t]+/, "", statement)
    begins = size
}

function words(text, at_end) { count_blocks(text) }

function parenthesis(character) {}

function client_encoding(value) { if (size >= 0 && !has_objects) encoding = value }

function command(text,    word) {
    match(text, /^\\[^ \t\r\\]*/)
    word = substr(text, 2, RLENGTH - 1)
    if (word != "connect" && word != "c") return
    text = substr(text, RLENGTH + 1)
    gsub(/^[ \t\r]+|[ \t\r]+$/, "", text)
    standard = 1
    is_wide = 0
    if (size < 0) return
    if (name == "") name = connected_database(text)
    # Before the first of the objects: the database's own settings are followed by another \connect.
    if (has_objects) return
    body_at = size + length($0) + 1
    has_body = 1
    has_no_schema = schema != ""
}

function end_statement(    text) {
    state = BETWEEN
    text = statement
    sub(/[ \t\r]+$/, "", text)
    if (size < 0) {
        if (verb == "CREATE") create_statement(text)
        else if (is_about(text)) keep_about(text)
        return
    }
    if (verb == "INSERT") inserts++
    else if (verb == "COPY") begin_copy(text)
    else if (verb == "SET") set_statement(text)
    else if (verb == "RESET") grantor = ""
    else if (verb == "SELECT") select_statement(text)
    else if (verb == "CREATE") create_statement(text)
    else if (is_about(text)) {
        keep_about(text)
        about_at[++abouts] = begins
        about_length[abouts] = size + length($0) + 1 - begins
        is_left_out = 1
    }
    if (schema != "" && (verb == "COPY" || text ~ /^(REFRESH MATERIALIZED VIEW |SELECT pg_catalog[.]lowrite[(])/)) is_left_out = 1
    if (verb != "SET" && verb != "SELECT" && verb != "INSERT") add_roles(text)
    if (has_body && late != "" && part_name == "") part_name = late_extension(text)
    if (part_name != "" && in_copy) copied_by = part_name
    part_begins = begins
    if (has_body && !is_about_database && verb !~ /^(SET|SELECT|RESET)$/) has_objects = 1
}

# ------------------------------------------------------------------------------------------------------------ statements

function begin_copy(text) {
    if (toupper(text) !~ /[ \t\n)]FROM[ \t\n]+STDIN([^A-Z0-9_]|$)/) return
    in_copy = 1
    rows = 0
    copied_by = ""
    is_about_database = 0
    copied_at = size + length($0) + 1
    copied_table = qualified_name(substr(text, 6))
    copied_columns = substr(text, 6 + length(copied_table))
    copied_columns = match(copied_columns, "^ [(]" identifier_pattern "(, *" identifier_pattern ")*[)]") ? substr(copied_columns, 2, RLENGTH - 1) : ""
}

# keep_schema: keeps the line for the file `schema`, which gets it with the other lines of its statement.
function keep_schema() {
    schema_lines = schema_lines $0 "\n"
    if (state != BETWEEN) return
    if (has_no_schema) { # behind a \connect
        close(schema)
        printf "" > schema
        has_no_schema = 0
    } else if (!is_left_out && has_body) printf "%s", schema_lines > schema
    schema_lines = ""
    is_left_out = 0
}

function set_statement(text) {
    setting(text)
    is_about_database = 0
    if (match(text, "^SET (SESSION AUTHORIZATION|ROLE) ")) {
        text = substr(text, RLENGTH + 1)
        grantor = ""
        if (substr(text, 1, 1) == "'") { # --use-set-session-authorization, which replaces OWNER TO
            match(text, /^'([^']|'')*'/)
            text = substr(text, 2, RLENGTH - 2)
            gsub(/''/, "'", text)
            add_role(text)
        } else if (add_role_of(text)) grantor = first_identifier(text)
    }
}

function select_statement(text) {
    is_about_database = 0
    if (has_body && text == EMPTY_PATH && !has_objects)
        path_at = begins
}

function create_statement(text,    rest) {
    is_about_database = 0
    if (match(text, /^CREATE DATABASE /)) {
        rest = substr(text, RLENGTH + 1)
        if (size >= 0) name = identifier(rest)
        else if (identifier(rest) != database) return
        is_about_database = 1
        create_options(after_identifier(rest))
    } else if (match(text, /^CREATE EXTENSION (IF NOT EXISTS )?/)) {
        rest = substr(text, RLENGTH + 1)
        extension_name = identifier(rest)
        rest = after_identifier(rest)
        extension_schema = match(rest, /^ WITH SCHEMA /) ? first_identifier(substr(rest, RLENGTH + 1)) : ""
        if (extension_name in late_schema) has_late[extension_name] = 1
    }
}

# create_options TEXT: those of CREATE DATABASE.
function create_options(text,    key, value) {
    while (match(text, /[A-Z_]+( LIMIT)? *= */)) {
        key = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        sub(/ *= *$/, "", key)
        sub(/^WITH +/, "", key)
        if (!match(text, /^E'([^'\\]|\\.|'')*'|^'([^']|'')*'|^"([^"]|"")*"|^[^ ;]+/)) return
        value = substr(text, 1, RLENGTH)
        text = substr(text, RLENGTH + 1)
        if (key == "OWNER") { owner = value; add_role_of(value) }
        else if (key == "CONNECTION LIMIT" || key == "IS_TEMPLATE" || key == "ALLOW_CONNECTIONS")
            limits = limits "ALTER DATABASE " temporary " " key " " value ";\n"
        else if (key ~ /^(ENCODING|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES|BUILTIN_LOCALE|TABLESPACE|LOCALE_PROVIDER)$/)
            options = options " " key " " value
    }
}

# is_about TEXT: whether the statement is about the database; sets `before` and `after` its name.
function is_about(text,    prefix) {
    is_about_database = 0
    prefix = ""
    if (match(text, /^(COMMENT ON|ALTER) DATABASE /)) prefix = substr(text, 1, RLENGTH)
    else if (match(text, "^ALTER ROLE " identifier_pattern " IN DATABASE ")) prefix = substr(text, 1, RLENGTH)
    else if (match(text, /^(GRANT|REVOKE) [A-Za-z, ]+ ON DATABASE /)) prefix = substr(text, 1, RLENGTH)
    else if (match(text, "^SECURITY LABEL (FOR (" identifier_pattern "|'[^']*') )?ON DATABASE ")) prefix = substr(text, 1, RLENGTH)
    if (prefix == "") return 0
    text = substr(text, length(prefix) + 1)
    if (identifier_of(text) != (size < 0 ? database : name)) return 0
    is_about_database = 1
    about_before = prefix
    about_after = after_identifier(text)
    return 1
}

# keep_about TEXT: keeps the statement for the database's temporary name.
function keep_about(text,    key, changed) {
    add_roles(text)
    changed = about_before temporary about_after
    if (about_before ~ /^ALTER/ && match(about_after, /^ (CONNECTION LIMIT|IS_TEMPLATE|ALLOW_CONNECTIONS)( |=)/)) {
        limits = limits changed "\n"
        return
    }
    if (about_before ~ /^ALTER DATABASE/ && match(about_after, /^ OWNER TO /)) {
        owner = first_identifier(substr(about_after, RLENGTH + 1))
        return
    }
    if (about_before ~ /^ALTER/ && match(about_after, /^ (RE)?SET /) && about_after !~ /^ SET TABLESPACE /) {
        key = substr(about_after, RLENGTH + 1)
        key = tolower(match(key, /^("[^"]*"|[A-Za-z0-9_.]+)/) ? substr(key, 1, RLENGTH) : "")
        gsub(/"/, "", key)
        setting_name[++settings] = key
        setting_sql[settings] = changed
        if (!has_objects && !(key in is_late_setting)) {
            early++
            is_early[settings] = 1
            setting_reset[settings] = about_before temporary " RESET " quoted(key) ";"
        }
        return
    }
    if (grantor != "" && about_before ~ /^(GRANT|REVOKE)/)
        changed = "SET SESSION AUTHORIZATION " grantor ";\n" changed "\nRESET SESSION AUTHORIZATION;"
    properties = properties changed "\n"
}

# late_extension TEXT: the extension in `late` that the statement belongs to, as does all that names an object of such a
# statement (a view of its tables). A function that only names it in its body, a string, can be created without it.
function late_extension(text,    each, schema, object, names) {
    names = text
    gsub(/'([^']|'')*'/, "", names)
    sub(/[$].*/, "", names)
    for (each in has_late) {
        schema = late_schema[each]
        if (match(text, "^(CREATE EXTENSION (IF NOT EXISTS )?|COMMENT ON EXTENSION )" each "[ ;]")) return each
        if (match(text, "^(COPY|INSERT INTO) " schema "[.]") || match(text, "^SELECT pg_catalog[.]setval[(]'" schema "[.]") || \
            match(names, "^(ALTER|GRANT|REVOKE|COMMENT|CREATE) (.*[ (,])?(" schema "[.]|SCHEMA " schema "[ ;])")) return late_part(text, each)
    }
    for (object in late_object) if (names_object(names, object)) return late_part(text, late_object[object])
    return ""
}

# late_part TEXT EXTENSION: the extension; keeps the name of what the statement creates.
function late_part(text, extension) {
    if (match(text, /^CREATE ((OR REPLACE|UNLOGGED|MATERIALIZED|RECURSIVE) )*(VIEW|TABLE|FUNCTION|PROCEDURE) /))
        late_object[qualified_name(substr(text, RLENGTH + 1))] = extension
    return extension
}

# names_object TEXT NAME: whether the name is in the statement.
function names_object(text, object,    at) {
    while (at = index(text, object)) {
        if (substr(text, at - 1, 1) !~ /[A-Za-z0-9_".]/ && substr(text, at + length(object), 1) !~ /[A-Za-z0-9_"]/) return 1
        text = substr(text, at + length(object))
    }
    return 0
}

function print_part(extension) {
    printf "extension_part\t%.0f\t%.0f\t%s\n", part_begins, size - part_begins, extension
    copied_by = ""
}

# ----------------------------------------------------------------------------------------------------------------- roles

function add_roles(text,    rest) {
    if (match(text, " OWNER TO " identifier_pattern " *;$")) add_role_of(substr(text, RSTART + 10))
    if (verb == "GRANT" || verb == "REVOKE" || text ~ /^ALTER DEFAULT PRIVILEGES /) add_grantees(text)
    if (match(text, /^ALTER DEFAULT PRIVILEGES FOR (ROLE|USER) /)) add_role_list(substr(text, RLENGTH + 1))
    else if (match(text, "^CREATE POLICY " identifier_pattern " ON " identifier_pattern "([.]" identifier_pattern ")?( AS [A-Z]+)?( FOR [A-Z]+)? TO "))
        add_role_list(substr(text, RLENGTH + 1))
    else if (match(text, /^CREATE USER MAPPING FOR /)) add_role_of(substr(text, RLENGTH + 1))
    else if (match(text, "^CREATE SCHEMA (" identifier_pattern " )?AUTHORIZATION ")) add_role_of(substr(text, RLENGTH + 1))
    else if (match(text, /^ALTER ROLE /) && is_about_database) add_role_of(substr(text, RLENGTH + 1))
}

# add_grantees TEXT: the roles at the end of GRANT or REVOKE.
function add_grantees(text,    rest) {
    sub(/ *;$/, "", text)
    sub(/ (CASCADE|RESTRICT)$/, "", text)
    if (match(text, " GRANTED BY " identifier_pattern "$")) {
        add_role_of(substr(text, RSTART + 12))
        text = substr(text, 1, RSTART - 1)
    }
    sub(/ WITH GRANT OPTION$/, "", text)
    if (match(text, " (TO|FROM) (GROUP )?" identifier_pattern "(, *(GROUP )?" identifier_pattern ")*$")) {
        rest = substr(text, RSTART + 1)
        sub(/^(TO|FROM) /, "", rest)
        add_role_list(rest)
    }
}

function add_role_list(text) {
    do {
        sub(/^GROUP /, "", text)
        add_role_of(text)
        text = after_identifier(text)
    } while (sub(/^, */, "", text))
}

# add_role_of TEXT: the role at its beginning; false for a keyword or a predefined role.
function add_role_of(text,    role) {
    if (toupper(first_identifier(text)) ~ /^(PUBLIC|CURRENT_USER|CURRENT_ROLE|SESSION_USER|DEFAULT|NONE)$/) return 0
    role = identifier_of(text)
    if (role == "" || role == "public" || role == "none" || substr(role, 1, 3) == "pg_") return 0
    add_role(role)
    return 1
}

function add_role(role) {
    if (role in is_role) return
    is_role[role] = 1
    print "role\t" escaped(role)
}

# ----------------------------------------------------------------------------------------------------------------- names

# first_identifier TEXT: the identifier at its beginning, as it is quoted.
function first_identifier(text) { return match(text, "^" identifier_pattern) ? substr(text, 1, RLENGTH) : "" }

function after_identifier(text) { return match(text, "^" identifier_pattern) ? substr(text, RLENGTH + 1) : text }

# identifier_of TEXT: the identifier at its beginning, without its quotes.
function identifier_of(text) { return identifier(first_identifier(text)) }

# qualified_name TEXT: the name at its beginning, with its schema, as it is quoted.
function qualified_name(text) {
    return match(text, "^" identifier_pattern "([.]" identifier_pattern ")?") ? substr(text, 1, RLENGTH) : ""
}

function quoted(text) {
    gsub(/"/, "\"\"", text)
    return "\"" text "\""
}

# ---------------------------------------------------------------------------------------------------------------- output

# escaped TEXT: a name as one field of a line.
function escaped(text) {
    gsub(/\\/, "&&", text)
    gsub(/\n/, "\\n", text)
    gsub(/\t/, "\\t", text)
    return text
}

function print_head() {
    printf "name\t%s\nencoding\t%s\nstandard\t%s\n", name, encoding, standard ? "on" : "off"
    printf "body\t%.0f\n", body_at
    if (path_at > body_at) printf "search_path\t%.0f\t%d\n", path_at, length(EMPTY_PATH)
    for (i = 1; i <= abouts; i++) if (about_at[i] >= body_at) printf "about\t%.0f\t%.0f\n", about_at[i], about_length[i]
}

function write_sql(    first) {
    printf "CREATE DATABASE %s TEMPLATE template0%s", temporary, options > (folder "/create.sql")
    first = standard ? "" : "SET escape_string_warning = off;\nSET standard_conforming_strings = off;\n"
    if (owner != "") owner = "ALTER DATABASE " temporary " OWNER TO " owner ";\n"
    printf "%s%s%s", first, owner, (early ? settings_sql(0) : "") > (folder "/settings.sql")
    # PostgreSQL keeps settings in the order in which they were set, here that of the source.
    printf "%s%s%s", first, properties, (settings > early ? settings_sql(1) : "") > (folder "/properties.sql")
    printf "%s", limits > (folder "/limits.sql")
}

# settings_sql AGAIN: sets the early settings, or all again; returns the names of those that the server rejected. A newer
# version may have removed a setting, or no longer know its value; a library may reserve its prefix.
function settings_sql(again,    i, body, delimiter) {
    body = "DECLARE left_out text[];\nBEGIN\n"
    if (again) for (i = 1; i <= settings; i++) if (i in is_early) body = body attempt(setting_reset[i], setting_name[i])
    for (i = 1; i <= settings; i++) if (again || (i in is_early)) body = body attempt(setting_sql[i], setting_name[i])
    body = body "PERFORM set_config('postgres_backup.left_out', array_to_string(left_out, ', '), false);\nEND"
    delimiter = "$settings$"
    while (index(body, delimiter)) sub(/\$$/, "_$", delimiter)
    return "DO " delimiter "\n" body "\n" delimiter ";\nSELECT current_setting('postgres_backup.left_out');\n"
}

function attempt(sql, key) {
    gsub(/'/, "''", key)
    return "BEGIN " sql " EXCEPTION WHEN undefined_object OR invalid_parameter_value OR invalid_name OR cant_change_runtime_param " \
        "OR feature_not_supported THEN left_out := array_append(array_remove(left_out, '" key "'), '" key "'); END;\n"
}
