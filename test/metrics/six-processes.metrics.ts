import { describeUnderPrometheus } from './under-prometheus.ts';

describeUnderPrometheus('six processes');
