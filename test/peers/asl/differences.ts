import type { HistoryEvent } from '../../../local/asl/history.ts';

/**
 * The written list of what moto's engine does otherwise. Where a recording of AWS says who is right, it is the source:
 * - snapshots: https://github.com/localstack/localstack/tree/main/tests/aws/services/stepfunctions/v2, recorded on AWS
 * - captures: https://github.com/radkawar/stackd/tree/9dc356f/testdata/aws/stepfunctions, captured on AWS
 * - guide: https://docs.aws.amazon.com/step-functions/latest/dg
 * - spec: https://states-language.net
 */

type Details = Readonly<Record<string, unknown>>;

/** Something about one type of event that is left out of the comparison, in both engines' histories. */
export interface EventRule {
  readonly reason: string;
  readonly source: string;
  /** Whether the rule is about this event. */
  readonly about: (event: HistoryEvent, details: Details) => boolean;
  /** Leaves the whole event out. */
  readonly drop?: true;
  /** Takes it for one of this type. */
  readonly as?: string;
  /** Leaves its predecessor out. */
  readonly anyPrevious?: true;
  /** Leaves these fields of its details out. */
  readonly fields?: readonly string[];
  /** Leaves these members of a task's parameters out. */
  readonly parameters?: readonly string[];
}

const states = (error: unknown): boolean => typeof error === 'string' && error.startsWith('States.');

export const eventRules: readonly EventRule[] = [
  {
    reason: 'Answers in place of tasks come without the resource in TaskFailed.',
    source:
      'moto: stepfunctions/parser/asl/component/state/exec/state_task/mock_eval_utils.py, _eval_mocked_response_throw',
    about: ({ type }) => type === 'TaskFailed' || type === 'TaskSubmitFailed',
    fields: ['resource', 'resourceType'],
  },
  {
    reason: 'In place of a call that fails before its token can be answered, moto answers for the token.',
    source: 'moto: …/service/state_task_service_callback.py, "In Mock mode, when simulating a failure"',
    about: ({ type }) => type === 'TaskSubmitFailed',
    as: 'TaskFailed',
  },
  {
    reason: 'moto does not say in which state a branch or an iteration was ended.',
    source: 'captures: redrive_execution.json, 02-parallel and 03-inline-map have TaskStateAborted',
    about: ({ type }) => /^(Task|Wait|Map|Parallel)StateAborted$/.test(type),
    drop: true,
  },
  {
    reason: 'moto leaves out the field whose expression failed, and points to the entry of the state.',
    source: 'snapshots: evaluate_jsonata/test_base_evaluate_expressions and states_variables/test_error_output',
    about: ({ type }) => type === 'EvaluationFailed',
    fields: ['location'],
    anyPrevious: true,
  },
  {
    reason: "The causes of the engine's own errors are sentences, and moto has its own.",
    source: 'snapshots, whose sentences ours are: "… specified for the field …"',
    about: (_event, { error }) => states(error),
    fields: ['cause'],
  },
  {
    reason: 'moto gives the time that was over no name, and points to the state that was cut.',
    source: 'https://github.com/floci-io/floci/issues/2733: States.Timeout, previousEventId 0, measured on AWS',
    about: ({ type }) => type === 'ExecutionTimedOut',
    fields: ['error'],
    anyPrevious: true,
  },
  {
    reason: 'moto passes on to ecs:runTask only what the guide lists, and StartedBy is not on that list.',
    source:
      'captures: ecs_schema_admission.json; AWS refuses StartedBy and Count, both unlisted, of .sync, and takes Count of .waitForTaskToken',
    about: ({ type }, { resourceType }) => type === 'TaskScheduled' && resourceType === 'ecs',
    parameters: ['StartedBy'],
  },
  {
    reason: "A Map Run's ARN is made up.",
    source: 'guide: concepts-examine-map-run.html',
    about: ({ type }) => type === 'MapRunStarted',
    fields: ['mapRunArn'],
  },
  {
    reason: 'After a Map Run the exit of the state points to its start; in moto, as in older recordings, to its end.',
    source: 'snapshots: scenarios/test_base_scenarios, test_map_state_config_distributed_item_selector_parameters',
    about: ({ type }) => type === 'MapStateExited',
    anyPrevious: true,
  },
];

/** A case that ends otherwise. */
export interface Difference {
  readonly reason: string;
  readonly source: string;
  readonly cases: readonly string[];
}

export const differences: readonly Difference[] = [
  {
    reason: 'moto fails by States.Runtime where no rule matches.',
    source: 'spec: appendix A, States.NoChoiceMatched',
    cases: ['Choice without a match fails'],
  },
  {
    reason: 'moto fails by States.Runtime, which nothing catches, where an expression throws or gives another type.',
    source:
      'snapshots: intrinsic_functions/test_math_operations_jsonata, test_math_random_seeded: States.QueryEvaluationError',
    cases: ['Choice over what is no boolean fails', 'an error in an expression fails', '$error fails'],
  },
  {
    reason: 'moto fails by States.Runtime, without EvaluationFailed.',
    source: 'snapshots: scenarios/test_base_scenarios, test_wait_timestamp_jsonata[NO_T]: States.QueryEvaluationError',
    cases: ['Wait for what is no time fails'],
  },
  {
    reason: 'moto does not wait and goes on.',
    source: 'guide: state-wait.html, Seconds is a non-negative integer',
    cases: ['Wait for a negative time fails'],
  },
  {
    reason: 'moto takes 0 for a time that is over, before it schedules the task.',
    source: 'guide: state-task.html, TimeoutSeconds is a positive integer',
    cases: ['a timeout of nothing fails'],
  },
  {
    reason: "moto lets Output see the variables that the same state's Assign sets.",
    source: 'guide: workflow-variables.html, "evaluation order in a state"; all see the values at its entry',
    cases: ['Assign and Output both see the old values'],
  },
  {
    reason: 'moto has RetryCount in the context of tasks only, after the first retry.',
    source:
      'guide: input-output-contextobject.html; captures: redrive_execution.json, "RetryCount":0 at a first attempt',
    cases: ['the context knows state, machine and input'],
  },
  {
    reason: 'moto has no $hash and no $uuid.',
    source: 'moto: stepfunctions/parser/asl/component/intrinsic/jsonata.py, "currently not supported"',
    cases: ['$hash', '$uuid'],
  },
  {
    reason: 'moto does not catch what the Output of the same state does wrong.',
    source:
      'https://docs.rs/crate/fakecloud-stepfunctions/0.52.0/source/src/error_handling.rs: as recorded, States.ALL and its own name match it',
    cases: ['a Catch for an Output that fails'],
  },
  {
    reason: 'moto records the failure of Arguments twice.',
    source:
      'snapshots: evaluate_jsonata/test_base_evaluate_expressions, test_undefined_reference[BASE_UNDEFINED_ARGUMENTS]',
    cases: ['Arguments that fail'],
  },
  {
    reason: 'moto loses its stack at an ItemSelector where there is no Items.',
    source: 'snapshots: scenarios/test_base_scenarios, test_map_state_item_selector[MAP_STATE_ITEM_SELECTOR_JSONATA]',
    cases: ['Map selects what each iteration gets'],
  },
];
