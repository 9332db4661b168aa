/* Reads one record: its fields, or the rows in it, into a batch. */
#ifndef GEXLAKE_RECORD_H
#define GEXLAKE_RECORD_H

#include "arrow.h"
#include "plan.h"

#define MAX_FIELDS 61 /* a bit of `seen` each, beside timestamp, ticker and rows */

/* The value of a field, until the whole record is read. */
typedef struct {
    bool is_null;
    bool is_spaced; /* text that may have blanks in it */
    double number;
    Slice text;
} Value;

typedef struct {
    const Plan *plan;
    Batch batch;
    /* These are of the current record. */
    Value values[MAX_FIELDS];
    uint64_t seen; /* a bit for each field, then one each for timestamp, ticker and rows */
    int next_field;
    double timestamp;
    Text scratch;
    Text others; /* the names of unknown fields */
} Record;

/* Makes an empty batch with the columns of the plan; false if there is no memory, or there are too many fields. */
bool record_init(Record *record, const Plan *plan);
void record_free(Record *record);
/* Reads an object, the `number`th of the file, which may have to be on one line. If it fails, the caller removes the
   rows that it has appended to the batch. */
bool record_read(Record *record, Cursor *cursor, int64_t number, bool on_one_line);

#endif
