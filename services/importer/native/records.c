#include "records.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "input.h"
#include "record.h"

#define BATCH_BYTES (32 << 20) /* a batch of few rows ends after this much of the file */
#define MESSAGE_BYTES 256

struct Records {
    const Plan *plan;
    Input input;
    Record record;
    bool is_array, is_done;
    int error; /* that ended the stream, an errno */
    int64_t count;
    int64_t batch_bytes;
    char message[MESSAGE_BYTES];
};

Records *records_new(const Plan *plan) {
    Records *records = calloc(1, sizeof *records);
    if (records == NULL || !record_init(&records->record, plan)) return free(records), NULL;
    records->plan = plan;
    records->input.file = -1;
    return records;
}

void records_free(Records *records) {
    if (records == NULL) return;
    input_close(&records->input);
    record_free(&records->record);
    free(records);
}

bool records_schema(Records *records, struct ArrowSchema *out) {
    return batch_schema(&records->record.batch, out);
}

const char *records_error(Records *records) { return records->message; }

/* The text before the first record, between two records, and after the last */

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

static Step next_record(Records *records, Cursor *cursor) {
    /* Not at the end of the block: the file may end there. */
    if (records->count >= records->plan->max_records && cursor->at < cursor->limit)
        return json_fail(cursor, cursor->at, "too many records"), FAULT;
    const uint8_t *start = cursor->at;
    if (!record_read(&records->record, cursor, records->count + 1, !records->is_array)) return FAULT;
    records->batch_bytes += cursor->at - start;
    return RECORD;
}

static Step array_end(Records *records, Cursor *cursor) {
    cursor->at++;
    json_skip_blanks(cursor);
    if (cursor->at == cursor->limit && records->input.has_ended) return END;
    return json_fail(cursor, cursor->at, "unexpected text after the end of the array"), FAULT;
}

static Step in_array(Records *records, Cursor *cursor) {
    json_skip_blanks(cursor);
    if (*cursor->at == ']') return array_end(records, cursor);
    if (records->count && !json_expect(cursor, ',', "expected a comma before the record")) return FAULT;
    json_skip_blanks(cursor);
    return next_record(records, cursor);
}

static Step in_lines(Records *records, Cursor *cursor) {
    bool has_break = records->count == 0;
    for (; json_is_blank(*cursor->at); cursor->at++) has_break |= *cursor->at == '\n';
    if (cursor->at == cursor->limit && records->input.has_ended) return END;
    if (cursor->at < cursor->limit && !has_break)
        return json_fail(cursor, cursor->at, "expected the record on a line of its own"), FAULT;
    return next_record(records, cursor);
}

static Step step(Records *records, Cursor *cursor) {
    if (records->count == 0 && !begin(records, cursor)) return FAULT;
    return records->is_array ? in_array(records, cursor) : in_lines(records, cursor);
}

/* Sets the message of an error that is not in the file. */
static int system_error(Records *records, int error) {
    snprintf(records->message, MESSAGE_BYTES, "it cannot be read: %s", strerror(error));
    return error;
}

/* Says which record is at fault, and after which byte of the file: reader/diagnosis.py parses both. */
static int fault(Records *records, const Cursor *cursor) {
    long long number = (long long)records->count + 1;
    long long after = (long long)records->input.before + (long long)records->input.at;
    if (cursor->fault == JSON_NO_MEMORY) return system_error(records, ENOMEM);
    if (cursor->fault == NO_RECORDS) snprintf(records->message, MESSAGE_BYTES, "%s", NO_RECORDS);
    else if (cursor->at == cursor->limit)
        snprintf(records->message, MESSAGE_BYTES, "the file is cut off in record %lld (after byte %lld)", number,
                 after);
    else
        snprintf(records->message, MESSAGE_BYTES, "record %lld: %s (after byte %lld)", number, cursor->fault,
                 after);
    return EINVAL;
}

/* Reads the next record. */
static int advance(Records *records) {
    for (;;) {
        Input *input = &records->input;
        Cursor cursor = {.at = input->block + input->at, .limit = input->block + input->size};
        int64_t length = records->record.batch.length;
        Step what = step(records, &cursor);
        if (what != FAULT) {
            input->at = (size_t)(cursor.at - input->block);
            records->count += what == RECORD;
            records->is_done = what == END;
            return 0;
        }
        batch_truncate(&records->record.batch, length);
        bool may_go_on = cursor.at == cursor.limit && !records->input.has_ended;
        if (!may_go_on) return fault(records, &cursor);
        if ((int64_t)(input->size - input->at) > records->plan->max_record_bytes + records->plan->block_bytes) {
            json_fail(&cursor, input->block, "too large");
            return fault(records, &cursor);
        }
        int error = input_refill(input, (size_t)records->plan->block_bytes);
        if (error) return system_error(records, error);
    }
}

static int open_file(Records *records) {
    int error = input_open(&records->input, records->plan->path);
    if (!error) error = input_refill(&records->input, (size_t)records->plan->block_bytes);
    return error ? system_error(records, error) : 0;
}

/* A batch without rows would end the stream for some consumers, so one is full only with a row in it. */
static bool is_full(const Records *records) {
    int64_t rows = records->record.batch.length;
    return rows >= records->plan->batch_rows || (rows > 0 && records->batch_bytes >= BATCH_BYTES);
}

static int next_batch(Records *records, struct ArrowArray *out) {
    int error = records->input.file < 0 ? open_file(records) : 0;
    records->batch_bytes = 0;
    while (!error && !records->is_done && !is_full(records)) error = advance(records);
    if (error || records->record.batch.length == 0) return error;
    return batch_export(&records->record.batch, out) ? 0 : system_error(records, ENOMEM);
}

int records_next(Records *records, struct ArrowArray *out) {
    out->release = NULL;
    if (!records->error) records->error = next_batch(records, out);
    return records->error;
}
