#include "part.hpp"

Part* find_part() { return part(); }
void leave_part() {}
