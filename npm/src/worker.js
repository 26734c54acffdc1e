// A browser's worker: the thread that holds secret keys.

import { serve } from './thread.js';

serve(self);
