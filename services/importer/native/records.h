/* Reads the records of a file, one after the other, into batches of columns. */
#ifndef GEXLAKE_RECORDS_H
#define GEXLAKE_RECORDS_H

#include "arrow.h"
#include "plan.h"

typedef struct Records Records;

Records *records_new(const Plan *plan);
void records_free(Records *records);
bool records_schema(Records *records, struct ArrowSchema *out);
/* Returns 0 and a batch, whose release is NULL after the last one, or an errno. */
int records_next(Records *records, struct ArrowArray *out);
const char *records_error(Records *records);

#endif
