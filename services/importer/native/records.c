#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH_BYTES (32 << 20) /* a batch ends when so much of the file is in it, however few its rows are */
#define MOST_FIELDS 64
#define MESSAGE_BYTES 256

#define NO_MEMORY "is too large for the memory"

/* The columns that every batch begins with. */
enum { RECORD_NUMBER, TIMESTAMP_MS, FIRST_OWN };

/* What was read of a field, until the whole record is. */
typedef struct {
    bool is_null;
    bool is_spaced; /* text that has blanks in it, perhaps */
    double number;
    Slice text;
} Value;

struct Records {
    const Plan *plan;
    int file;
    /* The bytes from `at` on are still to be read; a NUL is behind the last. */
    uint8_t *block;
    size_t capacity, at, size;
    bool has_ended, is_array, is_done;
    int error; /* which has ended the stream */
    int64_t count;
    int64_t batch_bytes;
    /* Of the record that is being read. */
    Value values[MOST_FIELDS];
    uint64_t seen; /* a bit a field, and behind them one each for timestamp, ticker and rows */
    int next_field;
    double timestamp;
    Text scratch;
    Text others; /* the names of fields that are not known */
    Batch batch;
    char message[MESSAGE_BYTES];
};

enum { OF_TIMESTAMP, OF_TICKER, OF_ROWS, SPECIALS };

/* Opening and closing */

static ColumnType column_type(Kind kind) {
    return kind == NUMBER ? DOUBLE : kind == INTEGER ? INT32 : TEXT;
}

Records *records_new(const Plan *plan) {
    const Field *own = plan->wants_rows ? plan->parts : plan->fields;
    int count = plan->wants_rows ? plan->part_count : plan->field_count;
    if (plan->field_count > MOST_FIELDS - SPECIALS) return NULL;
    Records *records = calloc(1, sizeof *records);
    Column *columns = calloc((size_t)count + FIRST_OWN + 1, sizeof *columns);
    if (records == NULL || columns == NULL) return free(records), free(columns), NULL;
    columns[RECORD_NUMBER] = (Column){.type = INT64, .name = "number"};
    columns[TIMESTAMP_MS] = (Column){.type = INT64, .name = "timestamp_ms"};
    for (int i = 0; i < count; i++)
        columns[FIRST_OWN + i] = (Column){.type = column_type(own[i].kind), .name = own[i].column};
    if (!plan->wants_rows) columns[FIRST_OWN + count++] = (Column){.type = TEXT, .name = "others"};
    records->batch = (Batch){.columns = columns, .count = FIRST_OWN + count};
    records->plan = plan;
    records->file = -1;
    return records;
}

void records_free(Records *records) {
    if (records == NULL) return;
    if (records->file >= 0) close(records->file);
    batch_free(&records->batch);
    free(records->batch.columns);
    free(records->block);
    text_free(&records->scratch);
    text_free(&records->others);
    free(records);
}

bool records_schema(Records *records, struct ArrowSchema *out) { return batch_schema(&records->batch, out); }

const char *records_error(Records *records) { return records->message; }

/* Bytes */

static int input_error(Records *records) {
    int error = errno;
    snprintf(records->message, MESSAGE_BYTES, "it cannot be read: %s", strerror(error));
    return error ? error : EIO;
}

/* Reads on behind what is left, which moves to the front. */
static int refill(Records *records) {
    size_t left = records->size - records->at;
    if (left > 0 && records->at > 0) memmove(records->block, records->block + records->at, left);
    records->at = 0;
    records->size = left;
    if (records->capacity < 2 * left + (size_t)records->plan->block_bytes) {
        size_t capacity = 2 * left + (size_t)records->plan->block_bytes;
        uint8_t *block = realloc(records->block, capacity + 1);
        if (block == NULL) return input_error(records);
        records->block = block;
        records->capacity = capacity;
    }
    while (records->size < records->capacity && !records->has_ended) {
        ssize_t more = read(records->file, records->block + records->size, records->capacity - records->size);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return input_error(records);
        records->has_ended = more == 0;
        records->size += (size_t)more;
    }
    records->block[records->size] = 0;
    return 0;
}

/* Values */

static bool is_named(Slice name, const char *wanted, size_t size) {
    return name.size == size && memcmp(name.start, wanted, size) == 0;
}

/* Returns the place of a field: fields mostly come in the order of the last record. */
static int place_of(Records *records, Slice name) {
    const Plan *plan = records->plan;
    for (int step = 0; step < plan->field_count; step++) {
        int place = (records->next_field + step) % plan->field_count;
        if (!is_named(name, plan->fields[place].name, plan->fields[place].name_size)) continue;
        records->next_field = place + 1;
        return place;
    }
    if (is_named(name, "timestamp", 9)) return plan->field_count + OF_TIMESTAMP;
    if (is_named(name, "ticker", 6)) return plan->field_count + OF_TICKER;
    if (plan->row_field != NULL && is_named(name, plan->row_field, strlen(plan->row_field)))
        return plan->field_count + OF_ROWS;
    return -1;
}

/* Reads a string as the text that it stands for, in `scratch` if it has escapes. */
static bool plain_string(Records *records, Cursor *cursor, Slice *plain) {
    bool has_escapes;
    if (!json_string(cursor, plain, &has_escapes)) return false;
    if (!has_escapes) return true;
    records->scratch.size = 0;
    const uint8_t *after = cursor->at;
    if (!json_unescape(cursor, *plain, &records->scratch)) return false;
    cursor->at = after;
    *plain = (Slice){records->scratch.bytes, records->scratch.size};
    return true;
}

static bool ticker(Records *records, Cursor *cursor) {
    const uint8_t *start = cursor->at;
    const char *wanted = records->plan->ticker;
    Slice found;
    if (!plain_string(records, cursor, &found)) return false;
    bool is_same = found.size == strlen(wanted);
    for (size_t i = 0; is_same && i < found.size; i++) {
        uint8_t byte = found.start[i];
        is_same = (byte >= 'a' && byte <= 'z' ? byte - 32 : byte) == (uint8_t)wanted[i];
    }
    return is_same ? true : json_fail(cursor, start, "is of another ticker");
}

/* Steps over an array that is stored as its text. */
static bool kept_array(Records *records, Cursor *cursor, Kind kind, Value *value) {
    const uint8_t *start = cursor->at;
    if (*start != '[') return json_fail(cursor, start, "has no array where one must be");
    cursor->is_kept = true;
    bool is_right = kind == NUMBERS ? json_flat_array(cursor, &value->text, &value->is_spaced)
                                    : json_value(cursor, records->plan->most_depth - 1);
    cursor->is_kept = false;
    if (is_right && kind == ARRAY) {
        value->text = (Slice){start, (size_t)(cursor->at - start)};
        value->is_spaced = true;
    }
    return is_right;
}

static bool value_of(Records *records, Cursor *cursor, const Field *field, Value *value) {
    const uint8_t *start = cursor->at;
    *value = (Value){.is_null = *start == 'n'};
    if (value->is_null) {
        if (field->is_required) return json_fail(cursor, start, "has a null where a value must be");
        return json_null(cursor);
    }
    if (field->kind == NUMBERS || field->kind == ARRAY) return kept_array(records, cursor, field->kind, value);
    if (!json_number(cursor, &value->number)) return false;
    if (field->kind == NUMBER) return true;
    bool is_whole = value->number >= INT32_MIN && value->number <= INT32_MAX &&
                    value->number == (double)(int32_t)value->number;
    return is_whole ? true : json_fail(cursor, start, "has no whole number of 32 bits where one must be");
}

static bool put(Cursor *cursor, Column *column, int64_t row, const Field *field, const Value *value) {
    if (value->is_null) return put_null(column, row), true;
    switch (field->kind) {
    case NUMBER: return put_double(column, row, value->number), true;
    case INTEGER: return put_int32(column, row, (int32_t)value->number), true;
    default:
        return (value->is_spaced ? put_compact : put_text)(column, row, value->text)
                   ? true
                   : json_fail(cursor, cursor->at, NO_MEMORY);
    }
}

/* Rows */

static bool row(Records *records, Cursor *cursor) {
    const Plan *plan = records->plan;
    Column *columns = records->batch.columns + FIRST_OWN;
    int64_t place = records->batch.length;
    int part = 0;
    if (!json_expect(cursor, '[', "has a row that is no array")) return false;
    if (!batch_reserve(&records->batch)) return json_fail(cursor, cursor->at, NO_MEMORY);
    records->batch.length++;
    json_skip_blanks(cursor);
    while (*cursor->at != ']') {
        Value value;
        if (part == plan->part_count) return json_fail(cursor, cursor->at, "has a row with too many elements");
        if (part && !json_expect(cursor, ',', "has no comma between two elements")) return false;
        json_skip_blanks(cursor);
        if (!value_of(records, cursor, &plan->parts[part], &value) ||
            !put(cursor, &columns[part], place, &plan->parts[part], &value))
            return false;
        part++;
        json_skip_blanks(cursor);
    }
    if (part < plan->least_parts) return json_fail(cursor, cursor->at, "has a row with too few elements");
    for (; part < plan->part_count; part++) put_null(&columns[part], place);
    cursor->at++;
    return true;
}

static bool rows(Records *records, Cursor *cursor) {
    if (*cursor->at == 'n') return json_null(cursor);
    if (!json_expect(cursor, '[', "has no array of rows where one must be")) return false;
    json_skip_blanks(cursor);
    if (*cursor->at == ']') return cursor->at++, true;
    for (;;) {
        if (!row(records, cursor)) return false;
        json_skip_blanks(cursor);
        if (*cursor->at == ']') return cursor->at++, true;
        if (!json_expect(cursor, ',', "has no comma between two rows")) return false;
        json_skip_blanks(cursor);
    }
}

/* Steps over the array of rows without reading it. Right rows have neither quotes nor braces, so that the array
   ends before the comma of the next name, or the brace of the record. Whoever reads the rows finds out whether
   they are right, and that the array ends there. */
static bool skip_rows(Cursor *cursor) {
    if (*cursor->at == 'n') return json_null(cursor);
    if (*cursor->at != '[') return json_fail(cursor, cursor->at, "has no array of rows where one must be");
    size_t left = (size_t)(cursor->limit - cursor->at);
    const uint8_t *quote = memchr(cursor->at, '"', left);
    const uint8_t *end = quote == NULL ? cursor->limit : quote;
    const uint8_t *brace = memchr(cursor->at, '}', (size_t)(end - cursor->at));
    const uint8_t *last = brace == NULL ? end : brace;
    while (last > cursor->at && json_is_blank(last[-1])) last--;
    if (brace == NULL && quote == NULL) return json_fail(cursor, cursor->limit, "ends in its rows");
    if (brace == NULL && last[-1] == ',') last--;
    while (last > cursor->at && json_is_blank(last[-1])) last--;
    if (last - cursor->at < 2 || last[-1] != ']')
        return json_fail(cursor, cursor->at, "has something that is no JSON in its rows");
    cursor->at = last;
    return true;
}

/* Records */

static bool note_other(Records *records, Cursor *cursor, Slice quoted) {
    Text *others = &records->others;
    if (!text_reserve(others, quoted.size + 2)) return json_fail(cursor, cursor->at, NO_MEMORY);
    others->bytes[others->size] = others->size ? ',' : '[';
    memcpy(others->bytes + others->size + 1, quoted.start, quoted.size);
    others->size += quoted.size + 1;
    return true;
}

static bool special(Records *records, Cursor *cursor, int which) {
    bool wants_rows = records->plan->wants_rows;
    switch (which) {
    case OF_TIMESTAMP: return json_number(cursor, &records->timestamp);
    case OF_TICKER: return ticker(records, cursor);
    default: return wants_rows ? rows(records, cursor) : skip_rows(cursor);
    }
}

static bool field(Records *records, Cursor *cursor) {
    const Plan *plan = records->plan;
    const uint8_t *start = cursor->at;
    Slice name;
    if (!plain_string(records, cursor, &name)) return false;
    Slice quoted = {start, (size_t)(cursor->at - start)};
    json_skip_blanks(cursor);
    if (!json_expect(cursor, ':', "has no colon behind a name")) return false;
    json_skip_blanks(cursor);
    int place = place_of(records, name);
    if (place < 0) {
        if (!plan->wants_rows && !note_other(records, cursor, quoted)) return false;
        return json_value(cursor, plan->most_depth - 1);
    }
    uint64_t bit = 1ULL << place;
    if (records->seen & bit) return json_fail(cursor, start, "has a name twice");
    records->seen |= bit;
    if (place >= plan->field_count) return special(records, cursor, place - plan->field_count);
    return value_of(records, cursor, &plan->fields[place], &records->values[place]);
}

static bool is_complete(const Records *records) {
    const Plan *plan = records->plan;
    uint64_t needed = 1ULL << (plan->field_count + OF_TIMESTAMP) | 1ULL << (plan->field_count + OF_TICKER);
    for (int i = 0; i < plan->field_count; i++)
        if (plan->fields[i].is_required) needed |= 1ULL << i;
    return (records->seen & needed) == needed;
}

static bool put_record(Records *records, Cursor *cursor) {
    const Plan *plan = records->plan;
    if (!batch_reserve(&records->batch)) return json_fail(cursor, cursor->at, NO_MEMORY);
    Column *columns = records->batch.columns + FIRST_OWN;
    int64_t place = records->batch.length++;
    const Value none = {.is_null = true};
    for (int i = 0; i < plan->field_count; i++) {
        const Value *value = records->seen >> i & 1 ? &records->values[i] : &none;
        if (!put(cursor, &columns[i], place, &plan->fields[i], value)) return false;
    }
    Column *others = &columns[plan->field_count];
    if (records->others.size == 0) {
        put_null(others, place);
    } else {
        records->others.bytes[records->others.size] = ']';
        Slice names = {records->others.bytes, records->others.size + 1};
        if (!put_text(others, place, names)) return json_fail(cursor, cursor->at, NO_MEMORY);
    }
    return true;
}

/* Writes number and time beside the rows that the record has brought; false if its timestamp is no time. */
static bool put_key(Records *records, int64_t first) {
    double timestamp_ms = nearbyint(records->timestamp * 1000);
    if (!(fabs(timestamp_ms) < 9223372036854775808.0)) return false;
    Column *columns = records->batch.columns;
    for (int64_t place = first; place < records->batch.length; place++) {
        put_int64(&columns[RECORD_NUMBER], place, records->count + 1);
        put_int64(&columns[TIMESTAMP_MS], place, (int64_t)timestamp_ms);
    }
    return true;
}

static bool fields(Records *records, Cursor *cursor) {
    if (!json_expect(cursor, '{', "is no object")) return false;
    json_skip_blanks(cursor);
    if (*cursor->at == '}') return cursor->at++, true;
    for (;;) {
        if (!field(records, cursor)) return false;
        json_skip_blanks(cursor);
        if (*cursor->at == '}') return cursor->at++, true;
        if (!json_expect(cursor, ',', "has no comma between two fields")) return false;
        json_skip_blanks(cursor);
    }
}

static bool record(Records *records, Cursor *cursor) {
    const uint8_t *start = cursor->at;
    int64_t first = records->batch.length;
    records->seen = 0;
    records->next_field = 0;
    records->others.size = 0;
    if (!fields(records, cursor)) return false;
    int64_t size = cursor->at - start;
    if (size > records->plan->most_bytes) return json_fail(cursor, start, "is too large");
    if (!records->is_array && memchr(start, '\n', (size_t)size) != NULL)
        return json_fail(cursor, start, "goes over several lines, in a file of one record a line");
    if (!is_complete(records)) return json_fail(cursor, start, "lacks a field that it must have");
    if (!records->plan->wants_rows && !put_record(records, cursor)) return false;
    records->batch_bytes += size;
    return put_key(records, first) ? true : json_fail(cursor, start, "has a timestamp that is no time");
}

/* What stands before the first record, between two, and behind the last */

static const char NO_RECORDS[] = "it is neither an array of records nor one record a line";

static bool begin(Records *records, Cursor *cursor) {
    static const uint8_t MARK[] = {0xEF, 0xBB, 0xBF};
    if (*cursor->at == MARK[0])
        for (int i = 0; i < 3; i++)
            if (!json_expect(cursor, (char)MARK[i], NO_RECORDS)) return false;
    json_skip_blanks(cursor);
    if (*cursor->at != '[' && *cursor->at != '{') return json_fail(cursor, cursor->at, NO_RECORDS);
    records->is_array = *cursor->at == '[';
    if (records->is_array) cursor->at++;
    return true;
}

typedef enum { RECORD, END, FAULT } Step;

static Step array_end(Records *records, Cursor *cursor) {
    cursor->at++;
    json_skip_blanks(cursor);
    if (cursor->at == cursor->limit && records->has_ended) return END;
    return json_fail(cursor, cursor->at, "comes behind the end of the array"), FAULT;
}

static Step in_array(Records *records, Cursor *cursor) {
    json_skip_blanks(cursor);
    if (*cursor->at == ']') return array_end(records, cursor);
    if (records->count && !json_expect(cursor, ',', "does not follow a comma")) return FAULT;
    json_skip_blanks(cursor);
    return record(records, cursor) ? RECORD : FAULT;
}

static Step in_lines(Records *records, Cursor *cursor) {
    bool has_break = records->count == 0;
    for (; json_is_blank(*cursor->at); cursor->at++) has_break |= *cursor->at == '\n';
    if (cursor->at == cursor->limit && records->has_ended) return END;
    if (cursor->at < cursor->limit && !has_break)
        return json_fail(cursor, cursor->at, "does not begin on a line of its own"), FAULT;
    return record(records, cursor) ? RECORD : FAULT;
}

static Step step(Records *records, Cursor *cursor) {
    if (records->count == 0 && !begin(records, cursor)) return FAULT;
    return records->is_array ? in_array(records, cursor) : in_lines(records, cursor);
}

static int fault(Records *records, const Cursor *cursor) {
    long long number = (long long)records->count + 1;
    if (cursor->fault == NO_RECORDS) snprintf(records->message, MESSAGE_BYTES, "%s", NO_RECORDS);
    else if (cursor->at == cursor->limit)
        snprintf(records->message, MESSAGE_BYTES, "the file is cut off in record %lld", number);
    else snprintf(records->message, MESSAGE_BYTES, "record %lld %s", number, cursor->fault);
    return EINVAL;
}

/* Takes in the next record. */
static int advance(Records *records) {
    for (;;) {
        Cursor cursor = {.at = records->block + records->at, .limit = records->block + records->size};
        int64_t length = records->batch.length;
        Step what = step(records, &cursor);
        if (what != FAULT) {
            records->at = (size_t)(cursor.at - records->block);
            records->count += what == RECORD;
            records->is_done = what == END;
            return 0;
        }
        batch_truncate(&records->batch, length);
        bool may_go_on = cursor.at == cursor.limit && !records->has_ended;
        if (!may_go_on) return fault(records, &cursor);
        if ((int64_t)(records->size - records->at) > records->plan->most_bytes + records->plan->block_bytes) {
            cursor.at = records->block;
            cursor.fault = "is too large";
            return fault(records, &cursor);
        }
        int error = refill(records);
        if (error) return error;
    }
}

static int open_file(Records *records) {
    records->file = open(records->plan->path, O_RDONLY | O_CLOEXEC);
    return records->file < 0 ? input_error(records) : refill(records);
}

/* A batch without rows would say that there is nothing more, so that none is full before it has one. */
static bool is_full(const Records *records) {
    int64_t rows = records->batch.length;
    return rows >= records->plan->batch_rows || (rows > 0 && records->batch_bytes >= BATCH_BYTES);
}

static int next_batch(Records *records, struct ArrowArray *out) {
    int error = records->file < 0 ? open_file(records) : 0;
    records->batch_bytes = 0;
    while (!error && !records->is_done && !is_full(records)) error = advance(records);
    if (error || records->batch.length == 0) return error;
    return batch_export(&records->batch, out) ? 0 : (errno = ENOMEM, input_error(records));
}

int records_next(Records *records, struct ArrowArray *out) {
    out->release = NULL;
    if (!records->error) records->error = next_batch(records, out);
    return records->error;
}
