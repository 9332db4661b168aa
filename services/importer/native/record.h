/* Reads one record: its fields, or the rows in it, into a batch. */
#ifndef GEXLAKE_RECORD_H
#define GEXLAKE_RECORD_H

#include "arrow.h"
#include "plan.h"

#define MAX_FIELDS 61 /* a bit each, beside timestamp, ticker and rows */

/* What was read of a field, until the whole record is. */
typedef struct {
    bool is_null;
    bool is_spaced; /* text that has blanks in it, perhaps */
    double number;
    Slice text;
} Value;

typedef struct {
    const Plan *plan;
    Batch batch;
    /* Of the record that is being read. */
    Value values[MAX_FIELDS];
    uint64_t seen; /* a bit a field, and behind them one each for timestamp, ticker and rows */
    int next_field;
    double timestamp;
    Text scratch;
    Text others; /* the names of fields that are not known */
} Record;

/* Makes the batch that the plan asks for, and leaves it empty; false if that is not possible. */
bool record_init(Record *record, const Plan *plan);
void record_free(Record *record);
/* Reads an object, the file's `number`th, all of it on one line if it must be. What it has put into the batch when
   it fails is for the caller to take back. */
bool record_read(Record *record, Cursor *cursor, int64_t number, bool on_one_line);

#endif
