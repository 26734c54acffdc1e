// A worker of Node: the thread that holds secret keys.

import { parentPort } from 'node:worker_threads';
import { serve } from '../thread.js';

serve(parentPort);
