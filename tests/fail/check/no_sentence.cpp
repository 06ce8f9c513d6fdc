// A file that forgot its sentence.
static_assert(sizeof(int) == 0);
